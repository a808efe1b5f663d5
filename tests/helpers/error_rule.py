"""The error rule: how far from float64 an operator may be, measured by plain PyTorch in the same dtype."""

import torch
from torch import Tensor

from tests.helpers.cases import Case, call, cotangents, in_float64, inputs, run

SLACK = {  # of outputs, of gradients
    torch.float64: (1e-12, 1e-12),
    torch.float32: (1e-6, 1e-6),
    torch.float16: (2.0**-11, 2.0**-10),
    torch.bfloat16: (2.0**-8, 2.0**-7),
}
SEEDS = 8


def error_excess(case: Case, dtype: torch.dtype, backend: str, device, seeds: int = SEEDS) -> dict[str, str]:
    """Outputs and gradients that violate the error rule, with their errors; {} if none does.

    err(x) must stay within 2 times (gradients 3 times) the error of the reference in the same dtype, plus the slack of the
    dtype; where exact is zero, the slack alone counts. Fewer seeds save time, but the error of a scalar for a single
    seed is random, also that of the reference: a result that violates the rule with fewer seeds is checked again with all.
    """
    broken = {}
    for name, (ours, theirs) in relative_errors(case, dtype, backend, device, seeds).items():
        gradient = name.startswith("d_")
        limit = (3 if gradient else 2) * theirs + SLACK[dtype][gradient]
        if not ours <= limit:
            broken[name] = f"error {ours:.3g} > {limit:.3g} (reference {theirs:.3g})"
    if broken and seeds < SEEDS:
        return error_excess(case, dtype, backend, device)
    return broken


def relative_errors(case: Case, dtype: torch.dtype, backend: str, device, seeds: int) -> dict[str, tuple[float, float]]:
    """err(x) of the backend and of the reference in the same dtype, by output and gradient.

    err(x) is the 2-norm of x - exact over that of exact (float64), both as root mean squares over `seeds`, so that one
    seed whose scalar gradient happens to vanish does not decide.
    """
    squares: dict[str, list[float]] = {}  # of our difference, the reference's difference, the exact result
    for seed in range(seeds):
        tensors = inputs(case, dtype, seed, device)
        grads = cotangents(call(case, tensors, "reference"), seed)
        exact = run(case, in_float64(tensors), "reference", [grad.double() for grad in grads])
        yardstick = run(case, tensors, "reference", grads)
        results = run(case, tensors, backend, grads)
        assert results.keys() == yardstick.keys() == exact.keys()
        for name, truth in exact.items():
            truth = significant(truth)
            sums = squares.setdefault(name, [0.0, 0.0, 0.0])
            for index, difference in enumerate((results[name] - truth, yardstick[name] - truth, truth)):
                sums[index] += float(difference.square().sum())
    return {
        name: ((ours / (scale or 1)) ** 0.5, (theirs / (scale or 1)) ** 0.5)
        for name, (ours, theirs, scale) in squares.items()
    }


def significant(exact: Tensor) -> Tensor:
    """`exact`, or zeros if it is only rounding error, as for the bias of a softmax over positions."""
    return torch.zeros_like(exact) if exact.numel() and exact.abs().max() < 1e-12 else exact
