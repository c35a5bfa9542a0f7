"""Scoring a model, or a base with SFTs composed in memory, on labelled data."""
