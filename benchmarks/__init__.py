"""Speed and memory of the operators, and of SMA-Net around them.

Two of the programs time the same calls, for different readers:

`make bench`'s pytest-benchmark run (test_sma_attention.py) times one implementation after another and keeps the history
that pytest-benchmark can store and compare (`--benchmark-save`, `--benchmark-compare`): for work on a kernel.

compare.py, for the published tables, times all implementations in turns within one process, so that noise of the machine
hardly affects their ratios, and measures memory. gate.py checks a change by such ratios.
"""
