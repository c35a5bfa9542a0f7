"""What arguments and options mean, whichever command has them."""
