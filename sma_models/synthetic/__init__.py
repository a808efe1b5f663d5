"""Synthetic faces whose action units, and the pixels that show them, are known exactly."""

from sma_models.synthetic.dataset import SyntheticFace, SyntheticFaces
from sma_models.synthetic.rates import AUS

__all__ = ["AUS", "SyntheticFace", "SyntheticFaces"]
