"""A page about SFTs: one HTML file that needs nothing else, for ``sftkit report``."""
