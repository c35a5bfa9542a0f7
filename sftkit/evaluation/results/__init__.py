"""The table of a sweep's scores: read, compared, drawn and set as tables."""
