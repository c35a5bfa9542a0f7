"""To and from others: the hub, model cards, and the layout of the reference implementation."""
