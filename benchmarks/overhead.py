"""`python -m benchmarks.overhead`: the cost of a call apart from its arithmetic, on tiny tensors.

Without gradient: the public function, the registered operator and the private operator, which is the raw kernel with its
allocations. With gradient: forward and backward of the public function against an operator with the same arguments, outputs
and saved tensors, made by `torch.library.register_autograd`, that only allocates; in the same run, in turns. The public
function bypasses the dispatcher if nothing intercepts the call (`sma_kernels/fast_path.py`); compiled graphs call the
registered operator.

Writes benchmarks/results/overhead.md.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import sma_kernels
from sma_kernels import backends
from sma_kernels.args import AttentionArgs, allocate_grad_inputs, allocate_outputs, flatten
from sma_models.utils.environment import processor_model
from sma_models.utils.markdown_table import table_lines

TURNS, CALLS = 40, 200
OUT = Path(__file__).parent / "results" / "overhead.md"


def small_tensors() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    sizes = {"values": (1, 4, 2, 2), "features": (1, 4, 2, 2), "weight": (1, 2, 2), "bias": (1, 2)}
    tensors = {name: torch.randn(size, generator=draw) for name, size in sizes.items()}
    tensors |= {"temperature": torch.tensor(0.2), "gate": torch.tensor(0.4)}
    return {**tensors, "relation_bias": torch.randn(2, 2, generator=draw)}


def operator_arguments(t: dict[str, torch.Tensor]) -> tuple:
    return (
        *(t["values"], t["features"], t["weight"], t["bias"], 0.0, t["temperature"], 0.0, t["gate"]),
        *(t["relation_bias"], None, "softmax", "max", 0.5, "cpu"),
    )


def head_of(t: dict[str, torch.Tensor]) -> AttentionArgs:
    values, features, weight, bias, *rest = operator_arguments(t)[:-1]
    return AttentionArgs(values, features, None, weight, bias, *rest, diversify=True, correlate=True)


def bare_operator() -> Callable:
    """An operator with the schema of `sma_attention` whose kernels only allocate."""
    library = torch.library.Library("sma_overhead", "FRAGMENT")
    for name in ("sma_attention", "sma_attention_backward"):
        schema = str(getattr(torch.ops.sma_kernels, name).default._schema).split("(", 1)[1]
        library.define(f"{name}({schema}")

    def forward(values, features, weight, bias, *rest):
        args = AttentionArgs(values, features, None, weight, bias, *rest[:-1], diversify=True, correlate=True)
        return tuple(allocate_outputs(args))

    def backward(*args):
        values, features, weight, bias, *rest = args[10:-1]
        gradients = allocate_grad_inputs(AttentionArgs(values, features, None, weight, bias, *rest[:-1]), [True] * 8)
        return tuple(gradient for gradient in gradients if gradient is not None)

    library.impl("sma_attention", forward, "CompositeExplicitAutograd")
    library.impl("sma_attention_backward", backward, "CompositeExplicitAutograd")
    operator = torch.ops.sma_overhead.sma_attention.default
    run_backward = torch.ops.sma_overhead.sma_attention_backward.default
    tensors = (0, 1, 2, 3, 5, 7, 8)

    def setup_context(ctx, inputs, output):
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(output[5], output[6])
        ctx.save_for_backward(*(output[i] for i in (1, 2, 4, 5, 6)), *(inputs[i] for i in tensors))
        ctx.rest = inputs

    def derive(ctx, *grad_outputs):
        stored, args = ctx.saved_tensors, list(ctx.rest)
        for index, tensor in zip(tensors, stored[5:], strict=True):
            args[index] = tensor
        gradients = [None] * len(args)
        for index, gradient in zip(
            tensors, run_backward(*grad_outputs[:5], *stored[:5], *args, [True] * 7), strict=True
        ):
            gradients[index] = gradient
        return tuple(gradients)

    torch.library.register_autograd("sma_overhead::sma_attention", derive, setup_context=setup_context, lib=library)
    bare_operator.library = library  # unregisters when garbage-collected
    return operator


def timed(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median microseconds per call, measured in turns."""
    for call in calls.values():
        for _ in range(CALLS):
            call()
    microseconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            microseconds[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: statistics.median(times) for name, times in microseconds.items()}


def with_gradient(operator: Callable, leaves: dict[str, torch.Tensor], arguments: tuple) -> Callable:
    grad = torch.ones(1, 1, 4)

    def call():
        torch.autograd.grad(operator(*arguments)[0], tuple(leaves.values()), grad)

    return call


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    torch.set_num_threads(1)
    tensors = small_tensors()
    arguments, args = operator_arguments(tensors), head_of(tensors)
    flat = flatten(args)
    operator, raw = torch.ops.sma_kernels.sma_attention.default, torch.ops.sma_kernels._forward_cpu.default
    with torch.no_grad():
        without_gradient = timed(
            {
                "raw kernel, `_forward_cpu`": lambda: raw(*flat),
                "choice of the backend, `AttentionArgs` and `select`": lambda: backends.select("cpu", head_of(tensors)),
                "registered operator, `torch.ops.sma_kernels.sma_attention`": lambda: operator(*arguments),
                "public function, `sma_attention`": lambda: sma_kernels.sma_attention(**tensors, backend="cpu"),
            }
        )
    leaves = {name: tensor.requires_grad_() for name, tensor in small_tensors().items()}
    operands, bare = operator_arguments(leaves), bare_operator()
    public = lambda: sma_kernels.sma_attention(**leaves, backend="cpu")  # noqa: E731
    with_gradients = timed(
        {
            "bare operator of `register_autograd`": with_gradient(bare, leaves, operands),
            "registered operator": with_gradient(operator, leaves, operands),
            "public function": with_gradient(lambda *_: public(), leaves, ()),
        }
    )
    lines = [
        __doc__.split("\n\n")[1],
        "",
        f"{processor_model()}, one thread, Python {platform.python_version()}, torch {torch.__version__}.",
        "",
    ]
    for title, times in (("without gradient", without_gradient), ("forward and backward", with_gradients)):
        first = next(iter(times.values()))
        rows = ((name, f"{t:.1f}", f"{t - first:+.1f}", f"{t / first:.2f}") for name, t in times.items())
        lines += [*table_lines((title, "µs", "above the first", "ratio"), rows), ""]
    OUT.write_text("# Dispatch cost of a call\n\n" + "\n".join(lines))
    print(OUT.read_text())


if __name__ == "__main__":
    main()
