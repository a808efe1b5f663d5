"""Backend `cpu`: the C++ kernels of csrc/cpu, behind two private operators of the compiled module."""

import torch

from sma_kernels.args import Cotangents, Gradients, Head, Outputs, Saved
from sma_kernels.backends import extension
from sma_kernels.library import LIBRARY, define_backend_operators

define_backend_operators("cpu")
# With its gradient, for `sma_kernels.fast_path`.
LIBRARY.define(
    "_sma_attention_cpu(Tensor values, Tensor features, Tensor weight, Tensor? bias, float temperature, "
    "Tensor? temperature_tensor, float gate, Tensor? gate_tensor, Tensor? relation_bias, str activation, str merge, "
    "float margin) -> (Tensor pooled, Tensor attention, Tensor maps, Tensor diversity, Tensor correlation)"
)


def why_unavailable() -> str | None:
    return extension.WHY_NOT


def describe() -> str:
    return f"{extension.module().cpu_instructions} kernels"


def refusals(head: Head) -> list[str]:
    device = head.grid.device.type
    return [] if device == "cpu" else [f"runs on CPU tensors; got a tensor on {device}"]


def call_arguments(head: Head) -> tuple:
    return (
        *(head.values, head.features, head.maps, head.weight, head.bias),
        *(head.temperature, head.temperature_tensor, head.gate, head.gate_tensor, head.relation_bias),
        *(head.activation, head.merge, head.margin, head.diversify, head.correlate),
    )


def forward(head: Head) -> Outputs:
    return Outputs(*torch.ops.sma_kernels._forward_cpu.default(*call_arguments(head)))


def backward(head: Head, saved: Saved, cotangents: Cotangents, needs: list[bool]) -> Gradients:
    return Gradients(*torch.ops.sma_kernels._backward_cpu.default(*cotangents, *saved, *call_arguments(head), needs))
