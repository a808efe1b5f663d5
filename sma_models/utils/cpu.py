"""CPUs available to this process."""

import os


def available_cpus() -> int:
    """Number of cores that this process may run on, which may be fewer than the machine has; all cores if unknown (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
