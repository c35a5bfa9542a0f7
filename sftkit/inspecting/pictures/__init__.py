"""Pictures: the data behind each (``data``), one style (``style``, ``colours``), a file a kind of picture, and HTML."""
