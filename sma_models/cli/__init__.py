"""`sma-net`: train, validate and test SMA-Net, or see a demonstration."""

from sma_models.cli.main import console, main

__all__ = ["console", "main"]
