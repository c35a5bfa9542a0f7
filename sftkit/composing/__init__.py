"""Models and SFTs, added and subtracted."""
