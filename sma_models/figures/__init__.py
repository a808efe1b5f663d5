"""Figures of the attention of a network and of the results of a run. Each function returns a matplotlib figure."""
