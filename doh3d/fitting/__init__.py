"""One shape's optimisation: configuration, presets, the fit itself, and compression."""
