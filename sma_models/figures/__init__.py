"""Figures of what a network attends to and of how a run went. Each function gives a matplotlib figure to save or embed."""
