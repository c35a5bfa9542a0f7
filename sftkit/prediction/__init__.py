"""Labels for text that has none."""
