"""Looking at shapes: pictures, the interactive viewer and reports."""
