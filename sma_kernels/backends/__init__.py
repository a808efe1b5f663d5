"""Which backend runs a call, and why the others cannot.

A backend is a module with `unavailable_reason() -> str | None` (this installation and machine), `describe() -> str`
(what would run), `not_supported_reasons(args) -> list[str]` (this call), `forward(args) -> Outputs` and
`backward(args, saved, grad_outputs, needs) -> GradInputs`.
"""

import logging
from types import ModuleType

import torch
from torch.autograd import forward_ad

from sma_kernels.args import (
    AttentionArgs,
    GradInputs,
    GradOutputs,
    Outputs,
    Saved,
    allocate_grad_inputs,
    allocate_outputs,
)
from sma_kernels.backends import cpu, cuda, preference, triton

FUSED: dict[str, ModuleType] = {"cpu": cpu, "cuda": cuda, "triton": triton}
ON_GPU = ("cuda", "triton")
NAMES = ("auto", "reference", *FUSED)
MAX_ARGMAX_CHANNELS = 256  # the channel of the maximum is saved as uint8

_ran_on: dict[str, set[torch.device]] = {}  # by backend
_log = logging.getLogger("sma_kernels")


def reasons(name: str, args: AttentionArgs) -> list[str]:
    """Why the fused backend `name` cannot run this call; empty if it can."""
    unavailable = _unavailable_reason(name)
    messages = [unavailable] if unavailable else []
    messages += FUSED[name].not_supported_reasons(args)
    if args.merge == "max" and args.values is not None and args.channels > MAX_ARGMAX_CHANNELS:
        messages.append(f"merge='max' supports at most {MAX_ARGMAX_CHANNELS} channels per region; got {args.channels}")
    if functorch_active():
        messages.append("torch.func (grad, vmap, jvp) and forward-mode derivatives need backend='reference'")
    return messages


@torch.compiler.assume_constant_result  # a graph runs under the same transforms as it is traced
def functorch_active() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is active: the operators' formulas support
    neither, and torch would silently drop forward derivatives."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


@torch.compiler.assume_constant_result  # it reads files and the environment, which cannot be traced
def _unavailable_reason(name: str) -> str | None:
    return FUSED[name].unavailable_reason()


def explain(args: AttentionArgs) -> dict[str, list[str]]:
    """Reasons of every backend; `reference` runs everything."""
    return {"reference": [], **{name: reasons(name, args) for name in FUSED}}


def uses_reference(backend: str, args: AttentionArgs) -> bool:
    """Whether plain PyTorch runs this call: on request, if no fused backend can, or on meta tensors, which have only
    shapes and dtypes. An explicit backend runs or raises."""
    if backend == "reference" or args.grid.is_meta:
        return True
    if backend == "auto":
        return all(reasons(name, args) for name in _on_device(args))
    messages = reasons(backend, args)
    if messages:
        raise RuntimeError(f"backend={backend!r} cannot run this call: {'; '.join(messages)}")
    return False


def select(backend: str, args: AttentionArgs) -> str:
    """The backend that runs this call. Unlike `uses_reference` it depends on sizes, which a traced graph need not know."""
    if backend == "auto":
        return next((name for name in candidates(args) if not reasons(name, args)), "reference")
    return "reference" if uses_reference(backend, args) else backend


def _on_device(args: AttentionArgs) -> tuple[str, ...]:
    """Fused backends for the call's device. Interpreted kernels are for tests, so a CPU has only `cpu`."""
    return ("cpu",) if args.grid.device.type == "cpu" else ON_GPU


def candidates(args: AttentionArgs) -> tuple[str, ...]:
    """The backends that "auto" tries, in order."""
    names = _on_device(args)
    if len(names) == 1:
        return names
    first = preference.preferred(args)
    return (first, *(name for name in names if name != first))


def forward(args: AttentionArgs, backend: str) -> Outputs:
    if args.grid.shape[0] == 0:
        return allocate_outputs(args)
    return _fused(backend, args).forward(args)


def backward(
    args: AttentionArgs, saved: Saved, grad_outputs: GradOutputs, needs: list[bool], backend: str
) -> GradInputs:
    if not any(needs):
        return GradInputs()
    if args.grid.shape[0] == 0 or all(grad is None for grad in grad_outputs):
        grads = allocate_grad_inputs(args, needs)
        return GradInputs(*(None if grad is None else grad.zero_() for grad in grads))
    run = _fused(backend, args).backward
    if grad_outputs.pooled is not None or args.values is None or not needs[0]:
        return run(args, saved, grad_outputs, needs)
    # Values reach the loss through the pooled output alone.
    return run(args, saved, grad_outputs, [False, *needs[1:]])._replace(values=torch.zeros_like(args.values))


def has_run(name: str, device: torch.device) -> bool:
    """Whether this process has already run the backend on this device (and logged its first call)."""
    return device in _ran_on.get(name, ())


def _fused(backend: str, args: AttentionArgs) -> ModuleType:
    name = select(backend, args)
    if name == "reference":
        explained = "; ".join(f"{other}: {', '.join(why)}" for other, why in explain(args).items() if why)
        raise RuntimeError(f"no fused backend can run this call here ({explained})")
    if not torch.compiler.is_compiling():
        if name not in _ran_on:
            _log.info("backend=%r runs on %r", backend, name)
        _ran_on.setdefault(name, set()).add(args.grid.device)
    return FUSED[name]
