"""What the codec is compared with: learned networks with its coder, decimation with Draco."""
