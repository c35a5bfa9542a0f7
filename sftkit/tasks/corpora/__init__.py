"""Plain text of any size: lines, pieces, tokens kept on disk, windows."""
