"""What this process may use of the machine."""

import os


def usable_cores() -> int:
    """Cores that this process may run on, which on shared machines are fewer than there are."""
    return len(os.sched_getaffinity(0))
