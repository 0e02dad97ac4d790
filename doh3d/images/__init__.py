"""Images: files of pixels, and the field that a `.doh` file of one decodes to."""
