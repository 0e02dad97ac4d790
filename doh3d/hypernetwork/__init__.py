"""The random hypernetwork: counter-based randomness, projections, target network."""
