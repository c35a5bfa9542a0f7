"""Sums of difference vectors and choices among their entries, on streams of positions and values."""
