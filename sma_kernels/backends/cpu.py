"""Backend `cpu`: the C++ kernels of csrc/cpu, behind private operators of the compiled module."""

import torch

from sma_kernels.args import AttentionArgs, GradInputs, GradOutputs, Outputs, Saved, flatten
from sma_kernels.backends import extension
from sma_kernels.library import define_backend_operators, define_fast_path

define_backend_operators("cpu")
define_fast_path()


def unavailable_reason() -> str | None:
    return extension.LOAD_ERROR


def describe() -> str:
    return f"{extension.module().cpu_instructions} kernels"


def not_supported_reasons(args: AttentionArgs) -> list[str]:
    device = args.grid.device.type
    return [] if device == "cpu" else [f"runs on CPU tensors; got a tensor on {device}"]


def forward(args: AttentionArgs) -> Outputs:
    return Outputs(*torch.ops.sma_kernels._forward_cpu.default(*flatten(args)))


def backward(args: AttentionArgs, saved: Saved, grad_outputs: GradOutputs, needs: list[bool]) -> GradInputs:
    return GradInputs(*torch.ops.sma_kernels._backward_cpu.default(*grad_outputs, *saved, *flatten(args), needs))
