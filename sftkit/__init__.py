"""sftkit: composable sparse fine-tuning artifacts."""

__version__ = "0.1.0"
