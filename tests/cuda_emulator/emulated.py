"""Backend `emulated`: the CUDA kernels on the emulated GPU, for tests. Available inside `registered()`."""

import os
import re
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sma_kernels import backends
from sma_kernels.args import (
    AttentionArgs,
    GradInputs,
    GradOutputs,
    Outputs,
    Saved,
    allocate_grad_inputs,
    allocate_outputs,
)
from tests.cuda_emulator import build

ORDER = {
    "dtype": (torch.float32, torch.float64, torch.bfloat16, torch.float16),
    "activation": ("softmax", "sigmoid"),
    "merge": ("max", "mean", "none"),
}
LAUNCH_TEXT_BYTES = 1 << 16
# Properties of the emulated GPU; tests change them. The seed orders the threads between barriers.
gpu = SimpleNamespace(
    shared_limit=99 * 1024, processors=1, max_cluster=1, cooperative=True, tf32=False, seed=1, misalign=False
)


class Emulator:
    """The process that runs the kernels; it aborts at the first misuse, with the reason."""

    def __init__(self):
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            [build.server()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"},
        )

    def ask(self, request: bytes, sizes: list[int]) -> list[bytes]:
        try:
            self.process.stdin.write(request)
            self.process.stdin.flush()
            answer = [self.process.stdout.read(size) if size > 0 else b"" for size in sizes]
        except BrokenPipeError:
            answer = [b""]
        if any(len(part) < size for part, size in zip(answer, sizes, strict=False)):
            self.process.wait()
            self.errors.seek(0)
            raise RuntimeError(f"the emulated GPU stopped:\n{self.errors.read().decode()[-3000:]}")
        return answer


_emulators: list[Emulator] = []


def _emulator() -> Emulator:
    if _emulators and _emulators[-1].process.poll() is not None:
        _emulators.clear()
    if not _emulators:
        _emulators.append(Emulator())
    return _emulators[-1]


class Request:
    """Numbers and arrays in the order in which server.cpp reads them."""

    def __init__(self, kind: int):
        self.splits: list[bytes] = []
        self.results: list[Tensor | None] = []
        self.numbers(kind, gpu.seed)

    def numbers(self, *values: int):
        self.splits.append(struct.pack(f"<{len(values)}q", *map(int, values)))

    def device(self):
        self.numbers(gpu.shared_limit, gpu.processors, gpu.max_cluster, gpu.cooperative, gpu.tf32)

    def reals(self, *values: float):
        self.splits.append(struct.pack(f"<{len(values)}d", *values))

    def array(self, tensor: Tensor | None, dtype: torch.dtype | None = None):
        """The memory that `tensor` spans, which may have holes."""
        if tensor is None:
            return self.numbers(-1)
        tensor = tensor.detach().to(dtype or tensor.dtype)
        span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        flat = tensor.as_strided((span,), (1,), tensor.storage_offset())
        start = tensor.element_size() if gpu.misalign else 0
        data = bytes(start) + bytes(flat.view(torch.uint8).numpy())
        self.numbers(len(data), start)
        self.splits.append(data)

    def strides(self, tensor: Tensor | None):
        if tensor is None:
            return self.numbers(0, 0, 0)
        batch, channel, row, column = tensor.stride()
        position = column if tensor.shape[3] > 1 else row
        if tensor.shape[2] * tensor.shape[3] == 1:
            position = 1
        if tensor.shape[1] == 1 and position != 1:
            channel = 1
        self.numbers(batch, channel, position)

    def result(self, tensor: Tensor | None):
        self.results.append(tensor)
        self.numbers(-1 if tensor is None else tensor.numel() * tensor.element_size())

    def run(self):
        sizes = [-1 if t is None else t.numel() * t.element_size() for t in self.results]
        answer = _emulator().ask(b"".join(self.splits), sizes)
        for tensor, data in zip(self.results, answer, strict=True):
            if tensor is not None:
                values = torch.frombuffer(bytearray(data), dtype=tensor.dtype)
                tensor.as_strided((tensor.numel(),), (1,)).copy_(values)


def unavailable_reason() -> str | None:
    return build.why_not()


def not_supported_reasons(args: AttentionArgs) -> list[str]:
    return ["float64 is not for this backend"] if args.grid.dtype == torch.float64 else []


def readable(tensor: Tensor | None) -> Tensor | None:
    """Copies a layout without an inner stride of 1, as the torch-facing code does."""
    if tensor is None:
        return None
    _, channels, height, width = tensor.shape
    position = tensor.stride(3) if width > 1 else tensor.stride(2)
    one_axis = height == 1 or width == 1 or tensor.stride(2) == width * tensor.stride(3)
    inner = channels == 1 or height * width == 1 or position == 1 or tensor.stride(1) == 1
    return tensor if one_axis and inner else tensor.contiguous()


def _request(kind: int, args: AttentionArgs) -> Request:
    grid = args.grid
    request = Request(kind)
    request.numbers(ORDER["dtype"].index(grid.dtype))
    request.device()
    embed = args.weight.shape[2] if args.weight is not None else 0
    groups = args.features.shape[1] // embed if args.features is not None else 0
    request.numbers(grid.shape[0], args.regions, args.channels, groups, embed)
    request.numbers(args.values.shape[1] if args.values is not None else 0, grid.shape[-2] * grid.shape[-1])
    request.numbers(ORDER["activation"].index(args.activation), ORDER["merge"].index(args.merge))
    request.numbers(args.diversify, args.correlate)
    request.reals(args.margin, args.temperature, args.gate)
    for feature_map in (readable(args.values), readable(args.features)):
        request.array(feature_map)
        request.strides(feature_map)
    for tensor in (args.maps, args.mask):
        request.array(None if tensor is None else tensor.contiguous())
    parameters = (args.weight, args.bias, args.relation_bias, args.temperature_tensor, args.gate_tensor)
    for parameter in parameters:
        request.array(None if parameter is None else parameter.contiguous(), torch.float32)
    return request


def forward(args: AttentionArgs) -> Outputs:
    outputs = allocate_outputs(args)
    request = _request(0, args)
    for output in outputs:
        request.result(output)
    request.run()
    return outputs


def backward(args: AttentionArgs, saved: Saved, grad_outputs: GradOutputs, needs: list[bool]) -> GradInputs:
    request = _request(1, args)
    if saved.attention is None and args.maps is not None:
        saved = saved._replace(attention=args.maps)
    for tensor in (*saved, *grad_outputs):
        request.array(None if tensor is None else tensor.contiguous())
    gradients = allocate_grad_inputs(args, needs)
    written = []
    for index, gradient in enumerate(gradients):
        target = gradient
        if gradient is not None:
            if index < 2:
                target = (
                    gradient if readable(gradient) is gradient else torch.empty(gradient.shape, dtype=gradient.dtype)
                )
            elif index == 2:
                target = torch.empty(gradient.shape, dtype=gradient.dtype)
            else:
                target = torch.empty(gradient.shape, dtype=torch.float32)
        written.append(target)
        request.result(target)
        if index < 2:
            request.strides(target)
    request.run()
    for gradient, target in zip(gradients, written, strict=True):
        if gradient is not None and target is not gradient:
            gradient.copy_(target)
    return gradients


def probe(operation: int, lanes: Tensor) -> Tensor:
    """The words that each lane receives, uint32 [32,4], for input words [32,8]."""
    request = Request(2)
    request.numbers(operation)
    request.array(lanes)
    outcome = torch.empty(32, 4, dtype=lanes.dtype)
    request.result(outcome)
    request.run()
    return outcome


class Launch(NamedTuple):
    kernel: str  # as `machine_code` has it
    blocks: int
    threads: int  # per block
    shared: int  # bytes of dynamic shared memory per block
    cluster: int  # blocks
    cooperative: int  # whether all blocks run at the same time
    argument: bytes


def count(shape: dict[str, int], dtype: torch.dtype, merge: str) -> dict[str, Any]:
    """Launches and workspace bytes of a training step at the sizes batch, R, K, G, D, C and L, without running it."""
    request = Request(3)
    request.numbers(ORDER["dtype"].index(dtype))
    request.device()
    request.numbers(*(shape[name] for name in ("batch", "R", "K", "G", "D", "C", "L")), ORDER["merge"].index(merge))
    counts, text = torch.empty(4, dtype=torch.int64), torch.empty(LAUNCH_TEXT_BYTES, dtype=torch.uint8)
    request.result(counts)
    request.result(text)
    request.run()
    names = ("forward_launches", "forward_workspace", "backward_launches", "backward_workspace")
    launches = [read_launch(line) for line in bytes(text.tolist()).rstrip(b"\0").decode().splitlines()]
    return {
        **dict(zip(names, counts.tolist(), strict=True)),
        "kernels": [launch.kernel for launch in launches],
        "launches": launches,
    }


def read_launch(line: str) -> Launch:
    name, *numbers, argument = line.split("\t")
    return Launch(kernel_name(name), *map(int, numbers), bytes.fromhex(argument))


DTYPE_NAMES = {"__nv_bfloat16": "bf16", "__half": "f16", "float": "f32"}
VARIANT_NAMES = {
    "mma_ieee": "ieee",
    "mma_tf32": "tf32",
    "mma_16bit<__nv_bfloat16>": "16-bit",
    "mma_16bit<__half>": "16-bit",
    "2": "2 parts",
    "3": "3 parts",
}


def kernel_name(function: str) -> str:
    """`pool bf16 16-bit 4` from the name that g++ gives to the launch of `pool<__nv_bfloat16, mma_16bit<__nv_bfloat16>, 4>`."""
    instance = re.search(
        r"kKernel = (?:sma::cuda::)?(?:\{anonymous\}::|<unnamed>::)?(\w+)(?:<(.*)>)?; Argument", function
    )
    if instance is None:
        raise ValueError(f"no kernel's name in {function}")
    if instance[2] is None:
        return instance[1]
    dtype, *variant = instance[2].replace("sma::cuda::", "").strip().split(", ")
    names = [VARIANT_NAMES[name] for name in variant[:1]]
    names += [{"true": "shared", "false": "workspace"}.get(name, name) for name in variant[1:]]
    return " ".join((instance[1], DTYPE_NAMES[dtype], *names))


@contextmanager
def registered():
    """Registers backend="emulated" with the operators."""
    names = backends.NAMES
    backends.FUSED["emulated"] = sys.modules[__name__]
    backends.NAMES = (*names, "emulated")
    try:
        yield "emulated"
    finally:
        backends.NAMES = names
        del backends.FUSED["emulated"]
