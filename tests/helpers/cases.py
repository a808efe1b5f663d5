"""Calls of the operators for tests and benchmarks: inputs by seed, and both directions by name."""

from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

import sma_kernels

FUNCTIONS = (
    "sma_attention",
    "multi_channel_attention",
    "attention_diversity",
    "correlate_attention",
    "attention_pool",
)
OUTPUTS = {
    "sma_attention": ("pooled", "attention", "maps", "diversity", "correlation"),
    "multi_channel_attention": ("maps",),
    "attention_diversity": ("diversity",),
    "correlate_attention": ("refined", "correlation"),
    "attention_pool": ("pooled", "attention"),
}
OUTPUTS_OF_OPERATORS = {  # the results of the registered operators: fields of `Outputs`, including saved ones
    "sma_attention": ("pooled", "attention", "maps", "diversity", "correlation", "attention_sum", "winner"),
    "multi_channel_attention": ("maps",),
    "attention_diversity": ("diversity",),
    "correlate_attention": ("attention", "correlation"),
    "attention_pool": ("pooled", "attention", "attention_sum", "winner"),
}
TENSORS = {
    "sma_attention": ("values", "features", "weight", "bias", "temperature", "gate", "relation_bias"),
    "multi_channel_attention": ("features", "weight", "bias"),
    "attention_diversity": ("maps",),
    "correlate_attention": ("maps", "temperature", "gate", "relation_bias"),
    "attention_pool": ("values", "maps"),
}
MASKED = ("sma_attention", "multi_channel_attention")  # the functions that take a mask
SETTINGS = {
    "sma_attention": ("activation", "merge", "margin"),
    "multi_channel_attention": ("activation",),
    "attention_diversity": ("margin",),
    "correlate_attention": (),
    "attention_pool": ("merge",),
}


@dataclass(frozen=True)
class Case:
    """One call; sizes in the notation of the specification."""

    function: str = "sma_attention"
    batch: int = 2
    regions: int = 3
    channels: int = 4
    embed: int = 11
    values: int = 37
    height: int = 5
    width: int = 7
    shared: bool = False
    bias: bool = True
    relation: bool = True
    activation: str = "softmax"
    merge: str = "max"
    margin: float = 0.3
    masked: bool = False
    layout: torch.memory_format = torch.contiguous_format

    @property
    def groups(self) -> int:
        return 1 if self.shared else self.channels

    @property
    def total(self) -> int:
        return self.regions * self.channels

    def __str__(self):
        parts = [
            self.function,
            f"B{self.batch}R{self.regions}K{self.channels}D{self.embed}C{self.values}",
            f"{self.height}x{self.width}",
            self.activation,
            self.merge,
            "shared" if self.shared else "grouped",
        ]
        parts += [] if self.bias else ["nobias"]
        parts += [] if self.relation else ["norelation"]
        parts += ["masked"] if self.masked else []
        parts += ["nhwc"] if self.layout == torch.channels_last else []
        return "-".join(parts)


# Sums over channels, features and positions that are longer than several vectors, with a rest, and of several parts; more
# channels than are pooled at a time, with one past the last vector.
LONG_SUMS = Case(channels=2, embed=139, values=657, height=13, width=11)


def inputs(case: Case, dtype: torch.dtype = torch.float64, seed: int = 0, device="cpu") -> dict[str, Tensor | None]:
    """Tensor inputs of a call, drawn in float64 and rounded to `dtype` (parameters to its wide dtype)."""
    draw = torch.Generator().manual_seed(seed)
    wide = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape, scale=1.0):
        return torch.randn(*shape, generator=draw, dtype=torch.float64) * scale

    grid = (case.height, case.width)
    drawn: dict[str, Tensor | None] = {
        "values": normal(case.batch, case.values, *grid),
        "features": normal(case.batch, case.groups * case.embed, *grid),
        "weight": normal(case.regions, case.channels, case.embed, scale=1.5 * case.embed**-0.5),
        "bias": normal(case.regions, case.channels, scale=0.3) if case.bias else None,
        "temperature": torch.tensor(0.2, dtype=torch.float64),
        "gate": torch.tensor(0.4, dtype=torch.float64),
        "relation_bias": normal(case.total, case.total, scale=0.3) if case.relation else None,
        "maps": normal(case.batch, case.regions, case.channels, *grid).sigmoid(),
    }
    result = {}
    for name in TENSORS[case.function]:
        tensor = drawn[name]
        if tensor is not None:
            tensor = tensor.to(dtype if name in ("values", "features", "maps") else wide)
            if name in ("values", "features"):
                tensor = tensor.contiguous(memory_format=case.layout)
            tensor = tensor.to(device)
        result[name] = tensor
    if case.masked:
        result["mask"] = mask(case, seed).to(device)
    return result


def mask(case: Case, seed: int = 0) -> Tensor:
    """[B,H,W], half of the positions of the first sample and more from sample to sample; none of the last one if there
    are three or more."""
    draw = torch.Generator().manual_seed(seed + 2000)
    positions = case.height * case.width
    valid = torch.rand(case.batch, positions, generator=draw) < torch.linspace(0.5, 0.95, case.batch)[:, None]
    valid[:, torch.arange(case.batch) % positions] = True
    if case.batch > 2:
        valid[-1] = False
    return valid.unflatten(1, (case.height, case.width))


def call(case: Case, tensors: dict[str, Tensor | None], backend: str) -> tuple[Tensor, ...]:
    """The outputs of a call as a tuple, in the order of OUTPUTS."""
    settings = {name: getattr(case, name) for name in SETTINGS[case.function]}
    outputs = getattr(sma_kernels, case.function)(**tensors, **settings, backend=backend)
    return tuple(outputs) if isinstance(outputs, tuple) else (outputs,)


def cotangents(outputs: tuple[Tensor, ...], seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed + 1000)
    return [torch.randn(out.shape, generator=draw, dtype=torch.float64).to(out.dtype).to(out.device) for out in outputs]


def run(
    case: Case, tensors: dict[str, Tensor | None], backend: str, grads: list[Tensor] | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """Outputs, and gradients under `grads` (drawn by seed if None) as d_<input>."""
    leaves = {name: None if tensor is None else tensor.detach() for name, tensor in tensors.items()}
    present = {name: leaf for name, leaf in leaves.items() if leaf is not None and leaf.is_floating_point()}
    for leaf in present.values():
        leaf.requires_grad_()
    outputs = call(case, leaves, backend)
    grad_outputs = cotangents(outputs, seed) if grads is None else grads
    # Pooling with merge="none" returns its maps: an output that is an input is not part of the graph.
    input_grads = torch.autograd.grad(outputs, list(present.values()), grad_outputs, allow_unused=True)
    result = dict(zip(OUTPUTS[case.function], (out.detach() for out in outputs), strict=True))
    result.update({f"d_{name}": grad for name, grad in zip(present, input_grads, strict=True) if grad is not None})
    return result


def in_float64(tensors: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
    wide = {
        name: tensor.double() for name, tensor in tensors.items() if tensor is not None and tensor.is_floating_point()
    }
    return {**tensors, **wide}


def matrix(**fixed) -> list[Case]:
    """Both activations, the three merges, G = 1 and K, for every function, without repeats."""
    seen, distinct = set(), []
    for function, activation, merge, shared in product(
        FUNCTIONS, ("softmax", "sigmoid"), ("max", "mean", "none"), (False, True)
    ):
        case = Case(function=function, activation=activation, merge=merge, shared=shared, **fixed)
        arguments = {name: getattr(case, name) for name in SETTINGS[function]}
        if "features" in TENSORS[function]:
            arguments["shared"] = shared
        key = (function, tuple(sorted(arguments.items())))
        if key not in seen:
            seen.add(key)
            distinct.append(case)
    return distinct


def ids(case: Case) -> str:
    return str(case)


def smaller(case: Case) -> Case:
    """The same call at sizes for which a full Jacobian is fast."""
    return replace(case, regions=2, channels=3, embed=2, values=3, height=2, width=3)
