"""The report on a GPU: `python -m benchmarks.gpu_report --out DIR`.

commands.py         runs a command with a log, and stops it with all its processes
report_file.py      the results so far, written after every command; markdown.py and figure.py render them
steps.py            the steps in order, and the plan of each kind of machine
gpu_environment.py  |
smoke.py            |
measure.py          | separate processes, which print results for the report
one_step.py         |
kernel_cache.py     Triton kernels that were compiled in advance on another machine
"""
