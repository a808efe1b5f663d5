"""Predicts the times of the CUDA kernels on an H200 from their machine code, without a GPU.

    python -m tools.cuda.timing_model                          prints the committed predictions
    python -m tools.cuda.timing_model --predict                compiles the kernels and predicts their times
    python -m tools.cuda.timing_model --write                  does the same and writes the table that the tests compare with
    python -m tools.cuda.timing_model --lines S3:head_forward  predicts where that kernel's time goes

bfloat16, NCHW, merge="max". The launches are those of the host code: the emulated GPU counts them.
"""

import argparse
import copy
import json
from pathlib import Path

import torch

from benchmarks.shapes import SHAPES
from tests.cuda_emulator import emulated
from tests.cuda_emulator.machine_code import short_name
from tools.cuda import sass, tables
from tools.cuda.kernel_timing import PROCESSORS, Prediction, predict

TABLE = Path(__file__).with_name("timing_model.json")
REPORT = sass.KERNELS.parents[1] / "benchmarks" / "results" / "h200" / "report.json"
ARCHITECTURE = "90"
SHARED_LIMIT = 227 * 1024
GAP_US = 0.6  # between the kernels of a CUDA graph
# Of the table; cycles and instructions are those of the first warp of a block, alone on its SM.
FACTS = ("microseconds", "blocks per SM", "cycles", "instructions")
GOALS_US = {"S1": 55, "S2": 65, "S3": 90, "S4": 100, "S5": 500}


def planned(name: str, merge: str | None = None) -> list[emulated.Launch]:
    """The launches of a training step at a standard shape, with its first merge unless another one is named."""
    shape = SHAPES[name]
    sizes = {"batch": shape.batch, "R": shape.regions, "K": shape.channels, "G": shape.groups}
    sizes |= {"D": shape.embed, "C": shape.values, "L": shape.positions}
    before = copy.copy(emulated.gpu)
    properties = {"shared_limit": SHARED_LIMIT, "processors": PROCESSORS, "max_cluster": 8, "tf32": False}
    emulated.gpu.__dict__.update(properties)
    try:
        return emulated.count(sizes, torch.bfloat16, merge or shape.merges[0])["launches"]
    finally:
        emulated.gpu.__dict__.update(before.__dict__)


def compiled_kernels() -> dict[str, sass.Kernel]:
    """The kernels for bfloat16, and those for every dtype, by short name."""
    sources = [source for source in sorted(sass.KERNELS.glob("*.cu")) if not source.stem.endswith(("_f16", "_f32"))]
    kernels = [kernel for source in sources for kernel in sass.kernels_of(source, ARCHITECTURE)]
    return {short_name(kernel.symbol): kernel for kernel in kernels}


def predictions(kernels: dict[str, sass.Kernel], name: str, merge: str | None = None) -> dict[str, Prediction]:
    """The kernels of a training step at a standard shape."""
    return {launch.kernel: predict(kernels[launch.kernel], launch) for launch in planned(name, merge)}


def facts_of(prediction: Prediction) -> tuple[float, ...]:
    microseconds = round(prediction.microseconds, 1)
    return microseconds, prediction.per_processor, prediction.cycles, prediction.instructions


def as_table(kernels: dict[str, sass.Kernel]) -> dict:
    """Predictions of all standard shapes."""
    return {
        "compiler": sass.cuda_build.release_of(sass.cuda_build.find_home()),
        "shapes": {
            shape: {
                kernel: dict(zip(FACTS, facts_of(prediction), strict=True))
                for kernel, prediction in predictions(kernels, shape).items()
            }
            for shape in SHAPES
        },
    }


def write(table: dict) -> None:
    shapes = tables.as_text(table["shapes"], indent=1)
    TABLE.write_text(f'{{\n "compiler": {json.dumps(table["compiler"])},\n "shapes": {shapes}\n}}\n')


def measured_rows(merge: str = "max") -> dict[str, dict]:
    """The rows of the H200's report that the predictions are for, by shape."""
    cell = {"dtype": "bfloat16", "layout": "nchw", "merge": merge, "implementation": "cuda"}
    cell |= {"direction": "forward+backward"}
    rows = json.loads(REPORT.read_text())["rows"]
    return {row["shape"]: row for row in rows if cell.items() <= row.items()}


def predicted_steps() -> dict[str, float]:
    """Microseconds of a training step at every shape, from the committed table."""
    shapes = json.loads(TABLE.read_text())["shapes"]
    return {
        shape: sum(facts["microseconds"] + GAP_US for facts in kernels.values()) for shape, kernels in shapes.items()
    }


def print_table(table: dict) -> None:
    measured = measured_rows()
    print("| shape | predicted step, µs | goal, µs | the step in the H200's report, µs |\n|---|---|---|---|")
    for shape, kernels in table["shapes"].items():
        step = sum(facts["microseconds"] + GAP_US for facts in kernels.values())
        taken = f"{measured[shape]['captured_us']:.0f}" if shape in measured else "–"
        print(f"| {shape} | {step:.0f} | {GOALS_US.get(shape, '–')} | {taken} |")
    print("\n| shape | kernel | predicted µs | blocks per SM | cycles | instructions |\n|---|---|---|---|---|---|")
    for shape, kernels in table["shapes"].items():
        for kernel, facts in kernels.items():
            print(f"| {shape} | {kernel} | {' | '.join(str(facts[fact]) for fact in FACTS)} |")


def print_cycles(counts: list[tuple[str, int]], total: int) -> None:
    for source, cycles in counts:
        print(f"  {cycles:9d}  {cycles / total:5.1%}  {source}")


def print_lines(shape: str, kernel: str, most: int = 25) -> None:
    """The kernel's statements by cycles, and what the prediction had to assume."""
    (launch,) = (launch for launch in planned(shape) if launch.kernel.split()[0] == kernel)
    prediction = predict(compiled_kernels()[launch.kernel], launch)
    print(f"{launch.kernel}: {launch.blocks} blocks, {launch.threads} threads, {launch.shared} bytes of shared memory")
    print(
        f"{prediction.microseconds:.1f} µs; cycles of the first warp alone, by statement of the kernel and of its callee:"
    )
    print_cycles(prediction.lines.most_common(most), prediction.cycles)
    print("by the file of the innermost function:")
    print_cycles(prediction.files.most_common(), prediction.cycles)
    print(f"branches that depend on data, by source line: {dict(prediction.guesses)}")
    print(f"instructions that a branch depends on but that are not modelled: {sorted(prediction.unmodelled)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--predict", action="store_true", help="predict the times of this tree's kernels")
    action.add_argument("--write", action="store_true", help="predict and write the table")
    action.add_argument("--lines", metavar="SHAPE:KERNEL", help="predict where a kernel's time goes")
    arguments = parser.parse_args()
    if (arguments.predict or arguments.write or arguments.lines) and (reason := sass.why_not()):
        raise SystemExit(reason)
    if arguments.lines:
        return print_lines(*arguments.lines.split(":"))
    if arguments.write:
        write(as_table(compiled_kernels()))
    print_table(as_table(compiled_kernels()) if arguments.predict else json.loads(TABLE.read_text()))


if __name__ == "__main__":
    main()
