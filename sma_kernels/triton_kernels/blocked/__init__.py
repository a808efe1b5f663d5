"""Blocks of maps, with N x N matrices in memory: for more maps or positions than one program holds."""
