"""What is compressed: shapes and images, each with its samples, its plan and its file."""
