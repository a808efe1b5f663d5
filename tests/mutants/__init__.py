"""Deliberate one-line breaks of kernels and autograd code; `make mutants` expects each to turn a test red."""
