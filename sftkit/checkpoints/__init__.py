"""Model directories: what weights are called, which are tied or fused, what a base is known by."""
