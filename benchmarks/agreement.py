"""Checks that timed implementations compute the same as eager PyTorch."""

import torch
from torch import Tensor

from benchmarks.baselines import PARTS, Implementation, Tensors

# Relative errors in the 2-norm. The tests compare the kernels with float64 more strictly; this is a last check before timing.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.03, torch.float16: 0.03}
SCALAR_FACTOR = 10  # tolerance factor for gradients of one number: such a sum may nearly vanish


def outputs_and_gradients(implementation: Implementation, tensors: Tensors) -> dict[str, Tensor]:
    """Outputs, and gradients for incoming gradients of alternating sign: a constant one vanishes in a softmax."""
    outputs = implementation(tensors)
    grad_outputs = [torch.ones_like(output) for output in outputs]
    for grad in grad_outputs:
        grad.view(-1)[::2] = -1
    gradients = torch.autograd.grad(outputs, list(tensors.values()), grad_outputs, allow_unused=True)
    results = {f"output {index}": output.detach() for index, output in enumerate(outputs)}
    for name, gradient in zip(tensors, gradients, strict=True):
        if gradient is not None and name != "bias":  # a softmax over positions is invariant to its bias: only rounding
            results[f"gradient of {name}"] = gradient
    return results


def differences(results: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """Descriptions of the results that deviate from the expected ones; empty if none does."""
    tolerance = TOLERANCE[expected["output 0"].dtype]
    deviations = [f"{name} is absent" for name in expected if name not in results]
    for name, result in results.items():
        reference = expected[name].double()
        error = float((result.double() - reference).norm() / reference.norm().clamp_min(1e-30))
        allowed = tolerance * (SCALAR_FACTOR if result.numel() == 1 and name.startswith("gradient") else 1)
        if not error <= allowed:  # NaN is an error too
            deviations.append(f"{name} differs by {error:.2g} of its norm (tolerance {allowed:g})")
    return deviations


def check(implementations: dict[str, Implementation], tensors: Tensors) -> None:
    """AssertionError unless all agree with the one named "eager"; parts of a function are exempt."""
    expected = outputs_and_gradients(implementations["eager"], tensors)
    for name, implementation in implementations.items():
        if name not in ("eager", *PARTS):
            wrong = differences(outputs_and_gradients(implementation, tensors), expected)
            if wrong:
                raise AssertionError(f"{name} differs from eager PyTorch: {'; '.join(wrong)}")
