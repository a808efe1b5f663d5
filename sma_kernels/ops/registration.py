"""How an operator of this package comes to be: its arguments and outputs are listed, the rest follows.

All five operators run the pipeline of `Head`, so one description yields the schema, the fake, the kernel that
chooses its backend, the autograd formula, the refusal of a second derivative and the autocast rule.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sma_kernels import backends, checks, modes
from sma_kernels.args import (
    Cotangents,
    Gradients,
    Head,
    Outputs,
    Saved,
    allocate_gradients,
    allocate_outputs,
)
from sma_kernels.library import LIBRARY

_TYPES = {
    "values": "Tensor",
    "features": "Tensor",
    "maps": "Tensor",
    "weight": "Tensor",
    "bias": "Tensor?",
    "temperature": "float",
    "temperature_tensor": "Tensor?",
    "gate": "float",
    "gate_tensor": "Tensor?",
    "relation_bias": "Tensor?",
    "activation": "str",
    "merge": "str",
    "margin": "float",
}
_GRADIENT_OF = dict(
    zip(
        ("values", "features", "maps", "weight", "bias", "temperature_tensor", "gate_tensor", "relation_bias"),
        Gradients._fields,
        strict=True,
    )
)
_AUTOCAST_CASTS = ("values", "features", "maps")


def fused_operator(
    name: str, *, arguments: Sequence[str], outputs: Sequence[str], kept: Sequence[str] = (), **stages: bool
) -> Callable:
    """Registers `sma_kernels::name` and its backward; returns the forward overload.

    arguments: fields of `Head`, in the order of the schema; `backend` is added last.
    outputs:   fields of `Outputs` that a caller sees, in the order returned; `kept` ones follow them, for the
               backward alone. A field that the settings of a call leave out comes back as an empty vector: ahead-of-time
               compilers refuse an undefined tensor.
    stages:    `diversify` and `correlate`, where the operator runs them.
    """
    count, returned = len(arguments), (*outputs, *kept)
    saved = [field for field in returned if field in Saved._fields]
    tensors = [field for field in arguments if field in _GRADIENT_OF]
    schema = ", ".join([*(f"{_TYPES[field]} {field}" for field in arguments), "str backend"])

    def head_of(args: Sequence) -> Head:
        fields: dict[str, Any] = {**dict(zip(arguments, args, strict=True)), **stages}
        return Head(**fields)

    def pick(found: Outputs, head: Head) -> tuple:
        picked = tuple(getattr(found, field) for field in returned)
        picked = tuple(head.grid.new_empty(0) if result is None else result for result in picked)
        return picked if len(picked) > 1 else picked[0]

    def run(*args):
        head = head_of(args[:count])
        return pick(backends.forward(head, args[count]), head)

    def allocate(*args):
        head = head_of(args[:count])
        return pick(allocate_outputs(head), head)

    forward = _define(
        name,
        f"({schema}) -> ({', '.join(f'Tensor {field}' for field in returned)})",
        kernel=run,
        fake=allocate,
    )
    _autocast(name, forward, arguments)

    def needs_by_gradient(needs: Sequence[bool]) -> list[bool]:
        wanted = {_GRADIENT_OF[field] for field, need in zip(tensors, needs, strict=True) if need}
        return [field in wanted for field in Gradients._fields]

    def pick_gradients(found: Gradients) -> tuple:
        picked = tuple(getattr(found, _GRADIENT_OF[field]) for field in tensors)
        return picked if len(picked) > 1 else picked[0]

    def backward_kernel(*args):
        cotangents, args = map(_present, outputs, args[: len(outputs)]), args[len(outputs) :]
        kept_values, args = map(_present, saved, args[: len(saved)]), args[len(saved) :]
        return pick_gradients(
            backends.backward(
                head_of(args[:count]),
                Saved(**dict(zip(saved, kept_values, strict=True))),
                Cotangents(**dict(zip(outputs, cotangents, strict=True))),
                needs_by_gradient(args[count + 1]),
                args[count],
            )
        )

    def backward_fake(*args):
        args = args[len(outputs) + len(saved) :]
        return pick_gradients(allocate_gradients(head_of(args[:count]), needs_by_gradient(args[count + 1])))

    backward = _define(
        f"{name}_backward",
        f"({', '.join([*(f'Tensor? grad_{field}' for field in outputs), *(f'Tensor? saved_{f}' for f in saved)])}, "
        f"{schema}, bool[] needs) -> ({', '.join(f'Tensor grad_{field}' for field in tensors)})",
        kernel=backward_kernel,
        fake=backward_fake,
    )
    _differentiate(name, arguments, outputs, returned, backward, backward_kernel)
    return forward


def _present(field: str, tensor: Tensor | None) -> Tensor | None:
    """None for the empty vector that stands for a field left out; of fields that are there, diversity alone is a vector."""
    return None if tensor is None or (tensor.dim() == 1 and field != "diversity") else tensor


def _define(name: str, schema: str, *, kernel: Callable, fake: Callable) -> Callable:
    LIBRARY.define(f"{name}{schema}")
    LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")  # it chooses the backend, so it serves every device
    torch.library.register_fake(f"sma_kernels::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.sma_kernels, name).default


def _differentiate(
    name: str,
    arguments: Sequence[str],
    outputs: Sequence[str],
    returned: Sequence[str],
    backward: Callable,
    backward_kernel: Callable,
) -> None:
    saved = [index for index, field in enumerate(returned) if field in Saved._fields]
    tensors = [index for index, field in enumerate(arguments) if field in _GRADIENT_OF]
    pooled = outputs.index("pooled") if "pooled" in outputs else None
    values = tensors.index(arguments.index("values")) if pooled is not None else 0

    def setup_context(ctx, inputs, output):
        results = output if isinstance(output, tuple) else (output,)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*results[len(outputs) :])
        ctx.save_for_backward(*(results[index] for index in saved), *(inputs[index] for index in tensors))
        ctx.plain = [None if index in tensors else value for index, value in enumerate(inputs)]

    def derive(ctx, *cotangents):
        stored, args = ctx.saved_tensors, list(ctx.plain)  # read once: activation checkpointing allows no more
        kept = stored[: len(saved)]
        for index, tensor in zip(tensors, stored[len(saved) :], strict=True):
            args[index] = tensor
        needs = [ctx.needs_input_grad[index] for index in tensors]
        if pooled is not None and cotangents[pooled] is None:
            needs[values] = False  # they reach the loss through the pooled output alone
        # The registered backward refuses a second derivative; where none is asked for, its kernel is all of it.
        registered = torch.is_grad_enabled() or modes.watched((*cotangents, *stored))
        found = (backward if registered else backward_kernel)(*cotangents[: len(outputs)], *kept, *args, needs)
        gradients: list[Tensor | None] = [None] * len(args)
        for index, gradient in zip(tensors, found if isinstance(found, tuple) else (found,), strict=True):
            gradients[index] = gradient
        return tuple(gradients)

    def refuse(ctx, *_):
        raise RuntimeError(
            f"second derivatives of sma_kernels.{name} are not implemented by the fused backends; "
            'use backend="reference" where a double backward is needed'
        )

    qualified = f"sma_kernels::{name}"
    torch.library.register_autograd(qualified, derive, setup_context=setup_context, lib=LIBRARY)
    torch.library.register_autograd(
        f"{qualified}_backward", refuse, setup_context=lambda ctx, inputs, output: None, lib=LIBRARY
    )


def _autocast(name: str, overload: Callable, fields: Sequence[str]) -> None:
    """Values, features and maps follow the autocast dtype; parameters and scalars keep their own."""
    positions = [index for index, field in enumerate(fields) if field in _AUTOCAST_CASTS]

    def rule(device: str, key: str) -> Callable:
        without_autocast = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

        def cast(*args):
            cast_args = list(args)
            for index in positions:
                checks.memory(**{fields[index]: args[index]})
                cast_args[index] = to_autocast_dtype(args[index])
            with torch._C._ExcludeDispatchKeyGuard(without_autocast):
                return overload(*cast_args)

        return cast

    for device, key in (("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")):
        LIBRARY.impl(name, rule(device, key), key)


def to_autocast_dtype(tensor: Tensor) -> Tensor:
    """`tensor` in the dtype of the active autocast region; float64 stays, as in torch's own casts."""
    if tensor.dtype == torch.float64:
        return tensor
    return tensor.to(torch.get_autocast_dtype(tensor.device.type))
