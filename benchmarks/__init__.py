"""Speed and memory of the operators, and of SMA-Net around them.

Two of the programs time the same calls, for different readers:

`make bench`'s pytest-benchmark run (test_sma_attention.py) times one implementation after another and keeps the history
that pytest-benchmark can store and compare (`--benchmark-save`, `--benchmark-compare`): for work on a kernel.

compare.py times all implementations in turns within one process, so that their ratios survive a noisy machine, and
measures memory: for the published tables. gate.py holds a change to such ratios.
"""
