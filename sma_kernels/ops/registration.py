"""Registers an operator from its schema: the fake, the kernel, the autograd formula and the autocast rule follow.

All five operators run the pipeline of `AttentionArgs`, so the names in a schema identify each argument and output. A kernel
chooses its backend when it is called.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sma_kernels import checks
from sma_kernels.args import (
    GRAD_OF,
    TENSOR_FIELDS,
    AttentionArgs,
    GradInputs,
    GradOutputs,
    Outputs,
    Saved,
    allocate_grad_inputs,
    allocate_outputs,
)
from sma_kernels.library import LIBRARY

AUTOCAST_FIELDS = ("values", "features", "maps")


class Signature(NamedTuple):
    """The parts of a schema, in its order."""

    name: str
    arguments: tuple[str, ...]  # fields of `AttentionArgs`; the schema adds `backend`
    tensors: tuple[str, ...]  # the tensors among them
    differentiable: tuple[str, ...]  # those of them that have a gradient
    outputs: tuple[str, ...]  # fields of `Outputs` that a caller sees
    returned: tuple[str, ...]  # the outputs, followed by results that only the backward reads
    saved: tuple[str, ...]  # fields of `Saved`
    stages: dict[str, bool]  # `diversify` and `correlate`, if the operator runs them

    def args_of(self, flat: Sequence) -> AttentionArgs:
        fields: dict[str, Any] = {**dict(zip(self.arguments, flat, strict=True)), **self.stages}
        return AttentionArgs(**fields)

    def select_outputs(self, results: Outputs, args: AttentionArgs) -> Any:
        """The returned tensors. A result that this call does not compute is replaced by a placeholder, because
        ahead-of-time compilers reject undefined tensors."""
        selected = (getattr(results, field) for field in self.returned)
        return _unpacked(placeholder(args.grid) if result is None else result for result in selected)

    def select_grads(self, grads: GradInputs) -> Any:
        return _unpacked(getattr(grads, GRAD_OF[field]) for field in self.differentiable)

    def needs_by_grad(self, needs: Sequence[bool]) -> list[bool]:
        """Converts flags per field of `differentiable` to flags per field of `GradInputs`."""
        needed = {GRAD_OF[field] for field, need in zip(self.differentiable, needs, strict=True) if need}
        return [field in needed for field in GradInputs._fields]


class BackwardCall(NamedTuple):
    """The flat arguments of a backward operator, grouped."""

    grad_outputs: GradOutputs
    saved: Saved
    args: AttentionArgs
    backend: str
    needs: list[bool]

    @classmethod
    def parse(cls, signature: Signature, flat: Sequence) -> "BackwardCall":
        *flat, backend, needs = flat
        first_saved = len(signature.outputs)
        first_argument = first_saved + len(signature.saved)
        grads = map(unless_placeholder, signature.outputs, flat[:first_saved])
        saved = map(unless_placeholder, signature.saved, flat[first_saved:first_argument])
        return cls(
            GradOutputs(**dict(zip(signature.outputs, grads, strict=True))),
            Saved(**dict(zip(signature.saved, saved, strict=True))),
            signature.args_of(flat[first_argument:]),
            backend,
            signature.needs_by_grad(needs),
        )


def parse_schema(schema: str, **stages: bool) -> Signature:
    parsed = torch._C.parse_schema(schema)
    arguments = tuple(argument.name for argument in parsed.arguments[:-1])
    returned = tuple(result.name for result in parsed.returns)
    return Signature(
        parsed.name,
        arguments,
        tensors=tuple(field for field in arguments if field in TENSOR_FIELDS),
        differentiable=tuple(field for field in arguments if field in GRAD_OF),
        outputs=tuple(field for field in returned if field in GradOutputs._fields),
        returned=returned,
        saved=tuple(field for field in returned if field in Saved._fields),
        stages=stages,
    )


def backward_schema(schema: str, signature: Signature) -> str:
    """The schema of the operator's backward: incoming gradients, saved results, and the arguments of the forward."""
    grads = [f"Tensor? grad_{field}" for field in signature.outputs]
    saved = [f"Tensor? saved_{field}" for field in signature.saved]
    arguments = schema[schema.index("(") + 1 : schema.index(")")].strip()
    returned = [f"Tensor grad_{field}" for field in signature.differentiable]
    return (
        f"{signature.name}_backward({', '.join([*grads, *saved, arguments])}, bool[] needs) -> ({', '.join(returned)})"
    )


def register_operator(schema: str, **stages: bool) -> Callable[[AttentionArgs, str], Any]:
    """Registers the operator of `schema` and its backward; returns a function that calls it with the record of a call
    and the name of a backend.

    schema: the arguments are fields of `AttentionArgs`, followed by `str backend`; the returned tensors are fields of
            `Outputs`, last those that only the backward reads
    stages: `diversify` and `correlate`, if the operator runs them
    """
    schema = " ".join(schema.split())
    signature = parse_schema(schema, **stages)

    def forward_kernel(*flat: Any) -> Any:
        from sma_kernels import backends

        *flat_args, backend = flat
        args = signature.args_of(flat_args)
        return signature.select_outputs(backends.forward(args, backend), args)

    def forward_fake(*flat: Any) -> Any:
        args = signature.args_of(flat[:-1])
        return signature.select_outputs(allocate_outputs(args), args)

    def backward_kernel(*flat: Any) -> Any:
        from sma_kernels import backends

        call = BackwardCall.parse(signature, flat)
        return signature.select_grads(
            backends.backward(call.args, call.saved, call.grad_outputs, call.needs, call.backend)
        )

    def backward_fake(*flat: Any) -> Any:
        call = BackwardCall.parse(signature, flat)
        return signature.select_grads(allocate_grad_inputs(call.args, call.needs))

    forward = _define(signature.name, schema, forward_kernel, forward_fake)
    backward = _define(f"{signature.name}_backward", backward_schema(schema, signature), backward_kernel, backward_fake)
    _register_autocast(signature, forward)
    _register_autograd(signature, backward, backward_kernel)

    def operator(args: AttentionArgs, backend: str) -> Any:
        return forward(*[getattr(args, field) for field in signature.arguments], backend)

    return operator


def placeholder(like: Tensor) -> Tensor:
    """The empty vector that stands for an absent result."""
    return like.new_empty(0)


def unless_placeholder(field: str, tensor: Tensor | None) -> Tensor | None:
    """Maps the placeholder of an absent result to None. `diversity` is the only result that is itself a vector."""
    return None if tensor is None or (tensor.dim() == 1 and field != "diversity") else tensor


def _unpacked(results: Any) -> Any:
    """A single result as such, several as a tuple."""
    results = tuple(results)
    return results if len(results) > 1 else results[0]


def _define(name: str, schema: str, kernel: Callable, fake: Callable) -> Callable:
    LIBRARY.define(schema)
    LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")  # it chooses the backend, so it supports every device
    torch.library.register_fake(f"sma_kernels::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.sma_kernels, name).default


def _register_autograd(signature: Signature, backward: Callable, backward_kernel: Callable) -> None:
    name, arguments, n_saved = signature.name, signature.arguments, len(signature.saved)
    saved = [signature.returned.index(field) for field in signature.saved]
    tensors = [arguments.index(field) for field in signature.tensors]
    differentiable = [arguments.index(field) for field in signature.differentiable]
    pooled = signature.outputs.index("pooled") if "pooled" in signature.outputs else None
    values = signature.differentiable.index("values") if pooled is not None else 0

    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        results = output if isinstance(output, tuple) else (output,)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*results[len(signature.outputs) :])
        ctx.save_for_backward(*(results[index] for index in saved), *(inputs[index] for index in tensors))
        ctx.plain = [None if index in tensors else value for index, value in enumerate(inputs)]

    def backward_formula(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        from sma_kernels.fast_path import needs_dispatch

        stored, flat = ctx.saved_tensors, list(ctx.plain)  # read once: activation checkpointing allows no more
        for index, tensor in zip(tensors, stored[n_saved:], strict=True):
            flat[index] = tensor
        needs = [ctx.needs_input_grad[index] for index in differentiable]
        if pooled is not None and grads[pooled] is None:
            needs[values] = False  # values reach the loss through the pooled output alone
        # The registered backward rejects second derivatives; if none can be requested, its kernel suffices.
        registered = torch.is_grad_enabled() or needs_dispatch((*grads, *stored))
        run = backward if registered else backward_kernel
        computed = run(*grads[: len(signature.outputs)], *stored[:n_saved], *flat, needs)
        returned: list[Tensor | None] = [None] * len(flat)
        for index, grad in zip(differentiable, computed if isinstance(computed, tuple) else (computed,), strict=True):
            returned[index] = grad
        return tuple(returned)

    def raise_on_double_backward(ctx: Any, *_: Any) -> None:
        raise RuntimeError(
            f"second derivatives of sma_kernels.{name} are not implemented by the fused backends; "
            'use backend="reference" where a double backward is needed'
        )

    qualified = f"sma_kernels::{name}"
    torch.library.register_autograd(qualified, backward_formula, setup_context=setup_context, lib=LIBRARY)
    torch.library.register_autograd(
        f"{qualified}_backward",
        raise_on_double_backward,
        setup_context=lambda ctx, inputs, output: None,
        lib=LIBRARY,
    )


def _register_autocast(signature: Signature, overload: Callable) -> None:
    """Values, features and maps follow the autocast dtype; parameters and scalars keep their own."""
    fields = signature.arguments
    positions = [index for index, field in enumerate(fields) if field in AUTOCAST_FIELDS]

    def rule(key: str) -> Callable:
        without_autocast = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

        def cast(*flat: Any) -> Any:
            cast_args = list(flat)
            for index in positions:
                checks.memory(**{fields[index]: flat[index]})
                cast_args[index] = to_autocast_dtype(flat[index])
            with torch._C._ExcludeDispatchKeyGuard(without_autocast):
                return overload(*cast_args)

        return cast

    for key in ("AutocastCPU", "AutocastCUDA"):
        LIBRARY.impl(signature.name, rule(key), key)


def to_autocast_dtype(tensor: Tensor) -> Tensor:
    """`tensor` in the dtype of the active autocast region; float64 stays, as in torch's own casts."""
    if tensor.dtype == torch.float64:
        return tensor
    return tensor.to(torch.get_autocast_dtype(tensor.device.type))
