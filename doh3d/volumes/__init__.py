"""Occupancy grids and label maps in files."""
