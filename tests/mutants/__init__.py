"""Deliberate one-line faults in the code; `make mutants` expects that each makes a test fail."""
