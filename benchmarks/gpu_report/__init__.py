"""The report on a GPU: `python -m benchmarks.gpu_report --out DIR`.

commands.py      runs a command into a log, and stops it with all its processes
report.py        what is known so far, rewritten after every command; markdown.py and figure.py show it
steps.py         what is run, in order, and on which machine
environment.py   |
smoke.py         |
measure.py       | processes of their own, which print results for the report
one_step.py      |
kernel_cache.py  Triton's kernels, compiled beforehand on another machine
"""
