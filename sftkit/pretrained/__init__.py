"""What transformers loads: configs, tokenizers and models of others, bounded, and what it refuses in a line."""
