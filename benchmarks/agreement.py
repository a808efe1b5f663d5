"""What is timed computes what eager PyTorch computes."""

import torch
from torch import Tensor

from benchmarks.baselines import Peer, Tensors

# Relative errors in the 2-norm. The tests hold the kernels to float64 more strictly; this is the last look before a clock.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.03, torch.float16: 0.03}
SCALAR_FACTOR = 10  # times that for a gradient that is one number: such a sum may nearly vanish


def results_of(implementation: Peer, tensors: Tensors) -> dict[str, Tensor]:
    """Outputs, and gradients under ones of alternating sign: a sum's constant gradient vanishes in a softmax."""
    outputs = implementation(tensors)
    grad_outputs = [torch.ones_like(output) for output in outputs]
    for grad in grad_outputs:
        grad.view(-1)[::2] = -1
    gradients = torch.autograd.grad(outputs, list(tensors.values()), grad_outputs, allow_unused=True)
    results = {f"output {index}": output.detach() for index, output in enumerate(outputs)}
    for name, gradient in zip(tensors, gradients, strict=True):
        if gradient is not None and name != "bias":  # a softmax over positions does not see its bias: only rounding
            results[f"gradient of {name}"] = gradient
    return results


def differences(results: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """The `results_of` an implementation that are not the expected ones; empty if all are."""
    tolerance = TOLERANCE[expected["output 0"].dtype]
    wrong = [f"{name} is absent" for name in expected if name not in results]
    for name, result in results.items():
        reference = expected[name].double()
        error = float((result.double() - reference).norm() / reference.norm().clamp_min(1e-30))
        allowed = tolerance * (SCALAR_FACTOR if result.dim() == 0 else 1)
        if not error <= allowed:  # NaN is an error too
            wrong.append(f"{name} differs by {error:.2g} of its norm, {allowed:g} is allowed")
    return wrong


def check(implementations: dict[str, Peer], tensors: Tensors) -> None:
    """Raises unless all compute what the one named "eager" does. Bare SDPA pooling computes something else."""
    expected = results_of(implementations["eager"], tensors)
    for name, implementation in implementations.items():
        if name not in ("eager", "sdpa pooling"):
            wrong = differences(results_of(implementation, tensors), expected)
            if wrong:
                raise AssertionError(f"{name} is not what eager PyTorch computes: {'; '.join(wrong)}")
