"""Meshes in and out: reading and repair, inside and outside, sampling, extraction."""
