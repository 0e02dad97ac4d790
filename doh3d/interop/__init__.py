"""What other programs ask of a shape: trimesh, Open3D, torch and notebooks."""
