"""Learning one SFT: settings, the two phases on the Hugging Face Trainer, selection, and the recipe's defaults."""
