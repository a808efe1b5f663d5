"""Prepares a report on a borrowed GPU in advance, on a machine without one: `make gpu-kit`.

stand_in.py    a driver for an absent GPU, so that launches compile but nothing runs
precompile.py  compiles the Triton kernels of the timed shapes and of the smoke cases
plugin.py      compiles those of the operator tests, as a pytest plugin
__main__.py    packs the commit, the compiled extension and the kernels into one archive
"""
