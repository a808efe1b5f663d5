"""Checks of the arguments of the public functions; each message names the argument, its value and what was expected."""

import math
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
ACTIVATIONS = ("softmax", "sigmoid")
MERGES = ("max", "mean", "none")
_PLAIN = {Tensor, nn.Parameter}


def finite(value: float) -> bool:
    """Compares instead of calling `math.isfinite`, which breaks a graph of torch.compile if the number is symbolic."""
    return -math.inf < value < math.inf


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def tensor(name: str, value: object, axes: str, device: torch.device | None = None) -> Tensor:
    """Returns `value`, a floating-point tensor on `device` with these axes ("B,C,H,W"), of which only B may be empty."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a Tensor [{axes}]; got {type(value).__name__}")
    if value.dtype not in DTYPES:
        raise TypeError(f"{name} must be float32, bfloat16, float16 or float64; got {value.dtype}")
    names = axes.split(",")
    if value.dim() != len(names):
        raise ValueError(f"{name} must have {len(names)} dimensions [{axes}]; got shape {tuple(value.shape)}")
    for axis, size in zip(names, value.shape, strict=True):
        if axis != "B" and size == 0:
            raise ValueError(f"{name} must not be empty along {axis}; got shape {tuple(value.shape)} for [{axes}]")
    if device is not None:
        same_device(name, value, device)
    return value


def memory(**tensors: Any) -> None:
    """RuntimeError if a storage was freed or shrunk while its tensor still uses it, as FSDP does with parameters.

    Otherwise our kernels would crash the process, as torch's own element-wise operations do. Not checked: subclasses of
    Tensor, which may keep their data elsewhere, and traced tensors.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    for name, value in tensors.items():
        if type(value) in _PLAIN and torch._C._has_storage(value):
            needed, held = _bytes_needed(value), value.untyped_storage().nbytes()
            if needed > held:
                raise RuntimeError(
                    f"{name} must have memory for {needed} bytes; got a storage of {held} bytes, freed or resized under it"
                )


def _bytes_needed(value: Tensor) -> int:
    """Bytes from the start of the storage to the end of the last element."""
    if value.is_contiguous():
        return int(value.storage_offset() * value.itemsize + value.nbytes) if value.nbytes else 0
    last = sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    return int(value.storage_offset() + last + 1) * value.itemsize


def parameter(
    name: str, value: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    """An optional parameter of exactly `shape`, in float32 or in the inputs' dtype."""
    if value is None:
        return
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a Tensor {list(shape)} or None; got {type(value).__name__}")
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must have shape {list(shape)}; got {list(value.shape)}")
    parameter_dtype(name, value, dtype)
    same_device(name, value, device)


def parameter_dtype(name: str, value: Tensor, dtype: torch.dtype) -> None:
    allowed = (dtype,) if dtype == torch.float64 else (torch.float32, dtype)
    if value.dtype not in allowed:
        expected = " or ".join(dict.fromkeys(map(str, allowed)))
        raise TypeError(f"{name} must be {expected} with inputs of {dtype}; got {value.dtype}")


def same_device(name: str, value: Tensor, device: torch.device) -> None:
    if value.device != device:
        raise ValueError(f"{name} must be on {device} like the other inputs; it is on {value.device}")


def same_dtype(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    if value.dtype != other.dtype:
        raise TypeError(f"{name} and {other_name} must share a dtype; got {value.dtype} and {other.dtype}")


def same_grid(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Batch and the last two axes (H, W) agree."""
    if value.shape[0] != other.shape[0] or value.shape[-2:] != other.shape[-2:]:
        raise ValueError(
            f"{name} and {other_name} must agree in batch, height and width; "
            f"got shapes {tuple(value.shape)} and {tuple(other.shape)}"
        )


def mask(value: Tensor | None, other_name: str, other: Tensor) -> None:
    """An optional bool tensor [B,H,W] that fits another one [B,...,H,W]."""
    if value is None:
        return
    if not isinstance(value, Tensor) or value.dtype != torch.bool:
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"mask must be a bool Tensor [B,H,W], True where a position is valid, or None; got {got}")
    expected = [other.shape[0], *other.shape[-2:]]
    if list(value.shape) != expected:
        raise ValueError(f"mask must have shape [B,H,W] = {expected} to fit {other_name}; got {list(value.shape)}")
    same_device("mask", value, other.device)


def groups(features: Tensor, weight: Tensor) -> None:
    """The channels of `features` are D (one shared group) or K*D (one group per channel) of `weight` [R,K,D]."""
    _, channels, width = weight.shape
    if features.shape[1] not in (width, channels * width):
        raise ValueError(
            f"features must have D = {width} or K*D = {channels * width} channels to fit weight "
            f"{list(weight.shape)} = [R,K,D]; got {features.shape[1]}"
        )


def scalar(name: str, value: float | Tensor, device: torch.device, *, low: float, high: float) -> None:
    """A float in [low, high], or a 0-d floating tensor, whose value is not checked."""
    if isinstance(value, Tensor):
        if value.dim() != 0 or value.dtype not in DTYPES:
            raise ValueError(
                f"{name} must be a float or a 0-d floating tensor; got shape {tuple(value.shape)}, {value.dtype}"
            )
        same_device(name, value, device)
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a float or a 0-d tensor; got {type(value).__name__}")
    if not finite(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a finite number in [{low:g}, {high:g}]; got {value}")


def temperature(value: float | Tensor, dtype: torch.dtype, device: torch.device) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not (finite(value) and value > 0):
        raise ValueError(f"temperature must be finite and > 0; got {value}")
    scalar("temperature", value, device, low=-math.inf, high=math.inf)
    if isinstance(value, Tensor):
        parameter_dtype("temperature", value, dtype)


def gate(value: float | Tensor, dtype: torch.dtype, device: torch.device) -> None:
    scalar("gate", value, device, low=0.0, high=1.0)
    if isinstance(value, Tensor):
        parameter_dtype("gate", value, dtype)


def margin(value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"margin must be a float; got {type(value).__name__}")
    if not finite(value):
        raise ValueError(f"margin must be finite; got {value}")
