"""One phase on the Hugging Face Trainer, in one process or several."""
