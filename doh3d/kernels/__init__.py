"""Loops that a CPU runs faster than torch's operations, compiled by numba when first called."""
