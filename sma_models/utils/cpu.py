"""What this process may use of the machine."""

import os


def available_cpus() -> int:
    """Cores that this process may run on, which on shared machines are fewer than there are; all where the system does not
    say (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
