"""SMA-Net: facial action units and expressions, read through self-diversified multi-channel attention."""
