"""What can be done with SFTs and checkpoints: pure numpy and scipy, no torch, no printing."""
