"""Sweeps: one mesh at many latent lengths, bit levels and seeds, and the table of them."""
