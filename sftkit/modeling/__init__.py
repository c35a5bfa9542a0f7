"""Torch models: loading them quietly, naming their parameters, and putting sparse differences on them."""
