"""What is shown: tables, bars, notes."""
