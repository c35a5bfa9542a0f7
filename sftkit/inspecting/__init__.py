"""What an SFT holds, and how much SFTs have in common: as numbers, tables and pictures."""
