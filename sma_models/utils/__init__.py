"""Helpers without dependencies on the rest of `sma_models`: files, versions, CPUs, finiteness checks."""
