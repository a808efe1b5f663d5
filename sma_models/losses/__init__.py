"""Losses of action units, expressions and attention diversity."""
