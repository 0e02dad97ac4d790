"""What the benchmark of speed measures: parts and encoders beside references, and its figure."""
