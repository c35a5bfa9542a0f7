"""Which entries φ may have: what may move, scores, masks."""
