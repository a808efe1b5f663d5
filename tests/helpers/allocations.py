"""What a call allocates on the CPU, as torch's profiler records it."""

from torch.profiler import ProfilerActivity, profile


def allocations(call):
    """(result, sizes in bytes in order of time): positive where memory was taken, negative where it was given back."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = call()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return result, [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
