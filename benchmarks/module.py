"""The module `SMAAttention` as a function of its input and parameters, like the operators of `baselines`."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.shapes import Shape, feature_map
from sma_kernels import SMAAttention, SMAOutput

MODULE = "SMAAttention"
Tensors = dict[str, Tensor]


def module_inputs(
    shape: Shape, dtype: torch.dtype, layout: torch.memory_format, device: torch.device, seed: int = 0
) -> Tensors:
    """x and the parameters of a new module by name, all requiring a gradient, as inside a network that is trained."""
    torch.manual_seed(seed)
    module = SMAAttention(
        shape.values,
        shape.regions,
        shape.channels,
        shape.embed,
        shared_features=shape.shared,
        device=device,
        dtype=dtype,
    )
    draw = torch.Generator(device).manual_seed(seed)
    x = feature_map(shape, shape.values, dtype, layout, draw).requires_grad_()
    return {"x": x, **dict(module.named_parameters())}


def module_of(tensors: Tensors, **settings: str) -> SMAAttention:
    """A module whose parameters are those in `tensors`; `settings` are its arguments, such as backend="reference"."""
    regions, channels, width = tensors["weight"].shape
    shared = len(tensors["embed.0.weight"]) == width
    x = tensors["x"]
    module = SMAAttention(
        x.shape[1], regions, channels, width, shared_features=shared, device=x.device, dtype=x.dtype, **settings
    )
    for name in dict(module.named_parameters()):
        owner, _, parameter = name.rpartition(".")
        setattr(module.get_submodule(owner), parameter, tensors[name])
    return module


class ModuleCall:
    """Maps the tensors of `module_inputs` to the outputs that a loss uses. The module is made for the tensors of the first
    call and kept, so that a call costs what it costs in a network."""

    def __init__(self, backend: str, compiled: bool = False, mode: str | None = None, **settings: str):
        self.compiled, self.mode, self.settings = compiled, mode, {"backend": backend, **settings}
        self.tensors: Tensors = {}

    def outputs(self, tensors: Tensors) -> SMAOutput:
        if tensors is not self.tensors:
            module = module_of(tensors, **self.settings)
            self.call = (
                torch.compile(module, fullgraph=True, dynamic=False, mode=self.mode) if self.compiled else module
            )
            self.tensors = tensors
        return self.call(tensors["x"])

    def __call__(self, tensors: Tensors) -> tuple[Tensor, ...]:
        outputs = self.outputs(tensors)
        return outputs.pooled, outputs.diversity


def convolution_alone(tensors: Tensors) -> tuple[Tensor, ...]:
    """The 1x1 convolution of the module, without batch norm, ReLU and attention."""
    return (conv2d(tensors["x"], tensors["embed.0.weight"]),)
