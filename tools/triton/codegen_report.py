"""Compiles the launches of every variant ahead of time, without a GPU, and reads figures from the machine code.

    python -m tools.triton.codegen_report            prints the table of the newest Triton
    python -m tools.triton.codegen_report 3.6        prints where that Triton is worse
    python -m tools.triton.codegen_report --write    compiles every variant and writes the table of this Triton

Each minor version of Triton has a separate table. The figures are static: registers, spills, shared memory, instructions.
They say nothing about speed.
"""

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from benchmarks.shapes import GPU_SHAPES, SHAPES
from tools.triton.recorder import (
    RecordedLaunch,
    attention_head,
    backward_launches,
    forward_launches,
)

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
VERSION = ".".join(triton.__version__.split(".")[:2])
VARIANTS = (("bfloat16", "max", False),)  # dtype, merge, channels_last; of every standard shape
MORE_VARIANTS = (("bfloat16", "none", False), ("bfloat16", "max", True), ("float32", "max", False))
MORE_SHAPES = ("S1", "S5")  # the smallest and the largest have more variants
FLOAT16 = ("float16", "max", False)  # of every standard shape
FLOAT16_TARGETS = ("sm_80", "sm_90")
_POINTERS = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.uint8: "*u8",
    torch.bool: "*i1",
}


def _source(launch: RecordedLaunch, target: GPUTarget) -> ASTSource:
    """The kernel specialized as a launch does it: aligned pointers, integers that are 1 or divide by 16."""
    constants: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], list] = {}

    def specialized(value: Any, path: tuple[int, ...], constant: bool) -> Any:
        """Triton's type of an argument, or of each member of a record."""
        integer = isinstance(value, int) and not isinstance(value, bool)
        if constant or value is None or (integer and value == 1):
            constants[path] = value
            return "constexpr"
        if isinstance(value, tuple):
            return type(value)(*(specialized(member, (*path, i), False) for i, member in enumerate(value)))
        if isinstance(value, float):
            return "fp32"
        if isinstance(value, torch.Tensor) or value % 16 == 0:
            attributes[path] = [["tt.divisibility", 16]]
        if isinstance(value, torch.Tensor):
            return _POINTERS[value.dtype]
        return "i32" if value < 2**31 else "i64"

    signature = {
        parameter.name: specialized(launch.arguments[parameter.name], (index,), parameter.is_constexpr)
        for index, parameter in enumerate(launch.kernel.params)
    }
    return ASTSource(launch.kernel, signature, constants, attributes)


def compiled(launch: RecordedLaunch, target_name: str):
    target = TARGETS[target_name]
    return triton.compile(_source(launch, target), target=target, options=dict(launch.options))


def measure(launch: RecordedLaunch, target_name: str) -> dict[str, Any]:
    """Registers per thread, spills (on NVIDIA, bytes of stack), shared memory, and the widest loads of the values."""
    binary = compiled(launch, target_name)
    figures: dict[str, Any] = {"shared": binary.metadata.shared, "warps": launch.options["num_warps"]}
    if target_name.startswith("sm_"):
        used = _resource_usage(binary.asm["cubin"])
        ptx = binary.asm["ptx"]
        figures |= {
            "registers": used["REG"],
            "spilled": used["STACK"] + used["LOCAL"],
            "tensor": sorted(set(re.findall(r"\b(mma\.sync|wgmma\.mma_async|tcgen05\.mma)", ptx))),
            "load_bytes": max(load_bytes(ptx), default=0),
        }
    else:
        text = binary.asm["amdgcn"]
        figures |= {
            "registers": _field(text, "vgpr_count"),
            "spilled": _field(text, "vgpr_spill_count"),
            "tensor": sorted(set(re.findall(r"v_mfma_f32_\w+", text))),
        }
    return figures


def _resource_usage(cubin: bytes) -> dict[str, int]:
    tool = triton.knobs.nvidia.cuobjdump.path
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(cubin)
        text = subprocess.run([tool, "-res-usage", str(file)], check=True, capture_output=True, text=True).stdout
    return {name: int(re.search(rf"\b{name}:(\d+)", text).group(1)) for name in ("REG", "STACK", "LOCAL")}


def load_bytes(ptx: str) -> list[int]:
    vectors = re.findall(r"ld\.global(?:\.\w+)*\.v(\d)\.b(\d+)", ptx)
    copies = re.findall(r"cp\.async\.\w+\.shared\.global(?:\.\S+)? \[[^]]*\], \[[^]]*\], 0x([0-9a-f]+)", ptx)
    return [int(count) * int(bits) // 8 for count, bits in vectors] + [int(size, 16) for size in copies]


def _field(text: str, name: str) -> int:
    return int(re.search(rf"\.{name}:\s+(\d+)", text).group(1))


def launches_of(shape: str, dtype: str, merge: str, channels_last: bool, target: str) -> dict[str, RecordedLaunch]:
    """Launches of a training step at a standard shape, keyed by their rows in the table."""
    head = attention_head(SHAPES[shape], getattr(torch, dtype), merge, channels_last)
    amd = TARGETS[target].backend == "hip"
    layout = "channels_last" if channels_last else "nchw"
    rows = {}
    for direction, launches in (("forward", forward_launches), ("backward", backward_launches)):
        for launch in launches(head, amd):
            name = launch.kernel.__name__.removesuffix("_kernel")
            rows[f"{shape} {dtype} {merge} {layout} {direction} {name} {target}"] = launch
    return rows


def every_launch() -> dict[str, tuple[RecordedLaunch, str]]:
    """All rows of the table: (launch, target)."""
    return {
        row: (launch, target)
        for target in TARGETS
        for shape in GPU_SHAPES
        for variant in _variants(shape, target)
        for row, launch in launches_of(shape, *variant, target).items()
    }


def _variants(shape: str, target: str) -> tuple[tuple[str, str, bool], ...]:
    more = MORE_VARIANTS if shape in MORE_SHAPES else ()
    return (*VARIANTS, *more, *((FLOAT16,) if target in FLOAT16_TARGETS else ()))


def tables() -> dict[str, dict[str, dict[str, Any]]]:
    """The committed tables by version of Triton, oldest first."""
    files = {file.stem.removeprefix("codegen-"): file for file in Path(__file__).parent.glob("codegen-*.json")}
    ordered = sorted(files, key=lambda version: [int(part) for part in version.split(".")])
    return {version: json.loads(files[version].read_text()) for version in ordered}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", choices=tables(), help="print where this Triton is worse")
    parser.add_argument("--write", action="store_true", help="compile every variant and write the table of this Triton")
    args = parser.parse_args()
    if args.write:
        write()
    newest = list(tables().values())[-1]
    print(differences(tables()[args.version], newest) if args.version else markdown(newest))


def write() -> None:
    table = {}
    for row, (launch, target) in every_launch().items():
        table[row] = measure(launch, target)
        print(row, table[row], flush=True)
    lines = ",\n".join(f"{json.dumps(row)}: {json.dumps(figures)}" for row, figures in table.items())
    Path(__file__).with_name(f"codegen-{VERSION}.json").write_text("{\n" + lines + "\n}\n")


def differences(table: dict[str, dict[str, Any]], newest: dict[str, dict[str, Any]]) -> str:
    """One row per figure that the newest Triton improves: fewer spills, less shared memory, or other instructions."""
    lines = ["| launch | figure | here | newest |", "|---|---|---|---|"]
    for row, figures in table.items():
        worse = [name for name in ("spilled", "shared") if figures[name] > newest[row][name]]
        other = [name for name in ("tensor", "load_bytes", "warps") if figures.get(name) != newest[row].get(name)]
        lines += [f"| {row} | {name} | {figures.get(name)} | {newest[row].get(name)} |" for name in worse + other]
    return "\n".join(lines)


def markdown(table: dict[str, dict[str, Any]]) -> str:
    """One row per launch: registers per thread for each target that has the launch, and the maximum of everything else."""
    launches: dict[str, dict[str, dict[str, Any]]] = {}
    for row, figures in table.items():
        launch, target = row.rsplit(" ", 1)
        launches.setdefault(launch, {})[target] = figures
    lines = [
        f"| launch | warps | {' | '.join(TARGETS)} | spilled | shared, bytes | widest load, bytes | products by |",
        "|---" * (len(TARGETS) + 6) + "|",
    ]
    for launch, targets in launches.items():
        figures_by_target = list(targets.values())
        products = sorted({name for figures in figures_by_target for name in figures["tensor"]})
        cells = [
            launch,
            max(figures["warps"] for figures in figures_by_target),
            *(targets[target]["registers"] if target in targets else "–" for target in TARGETS),
            max(figures["spilled"] for figures in figures_by_target),
            max(figures["shared"] for figures in figures_by_target),
            max(figures.get("load_bytes", 0) for figures in figures_by_target),
            ", ".join(products),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
