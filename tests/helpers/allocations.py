"""CPU allocations of a call, recorded by the profiler of torch."""

from torch.profiler import ProfilerActivity, profile


def allocations(call):
    """(result, sizes in bytes in order of time): positive for allocations, negative for releases."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = call()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return result, [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
