"""Everything for a report on a borrowed GPU, made beforehand where there is none: `make gpu-kit`.

stand_in.py    a driver that names a GPU which is not there, so that launches compile and nothing runs
precompile.py  compiles the Triton kernels of the timed shapes and of the smoke cases
plugin.py      compiles those of the operator tests, as a pytest plugin
__main__.py    packs the commit, the compiled extension and the kernels into one archive
"""
