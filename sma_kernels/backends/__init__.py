"""Which backend runs a call, and why the others cannot.

A backend is a module with `why_unavailable() -> str | None` (this installation and machine), `describe() -> str` (what
would run), `refusals(head) -> list[str]` (this call), `forward(head) -> Outputs` and `backward(head, saved,
cotangents, needs) -> Gradients`.
"""

import logging
from types import ModuleType

import torch
from torch.autograd import forward_ad

from sma_kernels.args import Cotangents, Gradients, Head, Outputs, Saved, allocate_gradients, allocate_outputs
from sma_kernels.backends import cpu, cuda, preference, triton

FUSED: dict[str, ModuleType] = {"cpu": cpu, "cuda": cuda, "triton": triton}
ON_GPU = ("cuda", "triton")
NAMES = ("auto", "reference", *FUSED)
MAX_WINNERS = 256  # the winning channel is kept as uint8

_logged: set[str] = set()
_log = logging.getLogger("sma_kernels")


def reasons(name: str, head: Head) -> list[str]:
    """Why the fused backend `name` cannot run this call; empty if it can."""
    missing = _missing(name)
    found = [missing] if missing else []
    found += FUSED[name].refusals(head)
    if head.merge == "max" and head.values is not None and head.channels > MAX_WINNERS:
        found.append(f"merge='max' holds at most {MAX_WINNERS} channels per region; got {head.channels}")
    if transformed():
        found.append("torch.func (grad, vmap, jvp) and forward-mode derivatives need backend='reference'")
    return found


@torch.compiler.assume_constant_result  # a graph runs under the transforms under which it is traced
def transformed() -> bool:
    """Whether derivatives or batches are asked for that the operators' formulas do not give: torch would drop forward
    derivatives in silence."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


@torch.compiler.assume_constant_result  # it reads files and the environment, which a traced graph cannot
def _missing(name: str) -> str | None:
    return FUSED[name].why_unavailable()


def explain(head: Head) -> dict[str, list[str]]:
    """Reasons of every backend; `reference` runs everything."""
    return {"reference": [], **{name: reasons(name, head) for name in FUSED}}


def uses_reference(backend: str, head: Head) -> bool:
    """Whether plain PyTorch runs this call: asked for, or since no fused backend can, or on meta tensors, of which it tells
    torch shapes and operations. An explicit one runs or raises."""
    if backend == "reference" or head.grid.is_meta:
        return True
    if backend == "auto":
        return all(reasons(name, head) for name in _on_device(head))
    found = reasons(backend, head)
    if found:
        raise RuntimeError(f"backend={backend!r} cannot run this call: {'; '.join(found)}")
    return False


def select(backend: str, head: Head) -> str:
    """The backend that runs this call. Unlike `uses_reference` it weighs sizes, which a traced graph need not know."""
    if backend == "auto":
        return next((name for name in _candidates(head) if not reasons(name, head)), "reference")
    return "reference" if uses_reference(backend, head) else backend


def _on_device(head: Head) -> tuple[str, ...]:
    """Backends for the call's device. Kernels under an interpreter are for tests: a CPU has `cpu` alone."""
    return ("cpu",) if head.grid.device.type == "cpu" else ON_GPU


def _candidates(head: Head) -> tuple[str, ...]:
    """What "auto" tries, in order."""
    names = _on_device(head)
    if len(names) == 1:
        return names
    first = preference.preferred(head)
    return (first, *(name for name in names if name != first))


def forward(head: Head, backend: str) -> Outputs:
    if head.grid.shape[0] == 0:
        return allocate_outputs(head)
    return _fused(backend, head).forward(head)


def backward(head: Head, saved: Saved, cotangents: Cotangents, needs: list[bool], backend: str) -> Gradients:
    if not any(needs):
        return Gradients()
    if head.grid.shape[0] == 0 or all(cotangent is None for cotangent in cotangents):
        gradients = allocate_gradients(head, needs)
        return Gradients(*(None if gradient is None else gradient.zero_() for gradient in gradients))
    run = _fused(backend, head).backward
    if cotangents.pooled is not None or head.values is None or not needs[0]:
        return run(head, saved, cotangents, needs)
    # Values reach the loss through the pooled output alone.
    return run(head, saved, cotangents, [False, *needs[1:]])._replace(values=torch.zeros_like(head.values))


def ran_before(name: str) -> bool:
    """Whether this process has run the backend, and so has said that it does."""
    return name in _logged


def _fused(backend: str, head: Head) -> ModuleType:
    name = select(backend, head)
    if name == "reference":
        explained = "; ".join(f"{other}: {', '.join(why)}" for other, why in explain(head).items() if why)
        raise RuntimeError(f"no fused backend can run this call here ({explained})")
    if name not in _logged and not torch.compiler.is_compiling():
        _logged.add(name)
        _log.info("backend=%r runs on %r", backend, name)
    return FUSED[name]
