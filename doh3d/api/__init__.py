"""What programs call: compression of whatever there is, and what comes of it."""
