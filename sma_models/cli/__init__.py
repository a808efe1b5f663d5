"""`sma-net`, the command line of SMA-Net: one module per command."""

from sma_models.cli.main import console, main

__all__ = ["console", "main"]
