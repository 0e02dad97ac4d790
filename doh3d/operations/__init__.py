"""What one does with an occupancy field: gradients, distances, rays, samples, sections."""
