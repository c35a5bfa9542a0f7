"""Trees and what a parser is fed."""
