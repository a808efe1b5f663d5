"""Counts launches and bytes of the two GPU backends at the standard shapes, for the table that `auto` reads.

    python -m tools.backend_preference             prints the committed table
    python -m tools.backend_preference --write     counts again and writes it
    python -m tools.backend_preference --measured report.json     writes it with the times of a GPU report

Counting needs no GPU: the launchers of both backends report what they would launch. Every tensor counts once per
launch that reads or writes it, assuming that repeated reads inside a launch hit a cache.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.gpu_report.markdown import preferred_times
from benchmarks.shapes import GPU_SHAPES, SHAPES, Shape, lower_bound_bytes
from sma_kernels.backends import preference
from tests.cuda_emulator import emulated
from tools.cuda import timing_model
from tools.triton.memory_traffic import traffic_of
from tools.triton.recorder import attention_head, backward_launches, forward_launches

MULTIPROCESSORS, SHARED_LIMIT = 132, 227 * 1024  # an H100 or H200
MEGABYTES_PER_LAUNCH = 6  # bytes moved at 3 TB/s in 2 microseconds, about the minimum cost of one more launch
DTYPE = torch.bfloat16
MODEL_ERROR = 1.2  # the timing model deviates from measured kernels by up to 18 %
MORE_DTYPES = ("float32",)  # for which a report may have times of some shapes
BASIS = (
    "Counted, not measured on any GPU: launches and megabytes of a training step in bfloat16, merge='max', NCHW, on "
    f"{MULTIPROCESSORS} processors with {SHARED_LIMIT // 1024} KB of shared memory per block. Preferred is the smaller sum of "
    f"the megabytes and {MEGABYTES_PER_LAUNCH} for each launch."
)


def count_cuda(shape: Shape) -> dict[str, float]:
    emulated.gpu.processors, emulated.gpu.shared_limit, emulated.gpu.max_cluster = MULTIPROCESSORS, SHARED_LIMIT, 8
    B, C, R, K, G, D = shape.batch, shape.values, shape.regions, shape.channels, shape.groups, shape.embed
    L, N = shape.positions, shape.total
    sizes = {"batch": B, "R": R, "K": K, "G": G, "D": D, "C": C, "L": L}
    merge = shape.merges[0]
    counts = emulated.count(sizes, DTYPE, merge)
    values, features = (DTYPE.itemsize * B * L * channels for channels in (C, G * D))
    A = N if merge == "none" else R
    attention, maps, pooled = (DTYPE.itemsize * B * count for count in (A * L, N * L, A * C))
    small = B * (4 * N * N + (R * L if merge == "max" else 0))  # S and the argmax
    forward = features + values + 2 * attention + maps + pooled + small + 2 * counts["forward_workspace"]
    backward = 2 * values + 2 * features + attention + pooled + small + 2 * counts["backward_workspace"]
    return {
        "launches": counts["forward_launches"] + counts["backward_launches"],
        "megabytes": round((forward + backward) / 1e6, 1),
    }


def count_triton(shape: Shape) -> dict[str, float]:
    head = attention_head(shape, DTYPE, shape.merges[0], False)
    launches = forward_launches(head) + backward_launches(head)
    return {
        "launches": len(launches),
        "megabytes": round(sum(traffic_of(launch).device for launch in launches) / 1e6, 1),
    }


def cost(counted: dict[str, float]) -> float:
    return counted["megabytes"] + MEGABYTES_PER_LAUNCH * counted["launches"]


def sizes_of(shape: Shape) -> dict[str, int]:
    return {"batch": shape.batch, "C": shape.values, "L": shape.positions, "N": shape.total}


def counted_table() -> dict:
    rows = {}
    for name in GPU_SHAPES:
        shape = SHAPES[name]
        counts = {"cuda": count_cuda(shape), "triton": count_triton(shape)}
        rows[name] = {
            "dtype": str(DTYPE).removeprefix("torch."),
            "sizes": sizes_of(shape),
            "floor_megabytes": round(lower_bound_bytes(shape, DTYPE, "forward+backward") / 1e6, 1),
            **counts,
            "prefer": min(counts, key=lambda backend: cost(counts[backend])),
        }
    return {"basis": BASIS, "rows": rows}


def measured_table(results: dict) -> dict:
    """The counted table with the times of a GPU report, which decide the preference."""
    table = counted_table()
    times = preferred_times(results["rows"])
    missing = [name for name in table["rows"] if name not in times]
    if missing:
        raise SystemExit(
            f"expected times of cuda and triton at every shape in the report, got none at {', '.join(missing)}"
        )
    for name, row in table["rows"].items():
        for backend, microseconds in times[name].items():
            row[backend]["microseconds"] = microseconds
        row["prefer"] = min(times[name], key=times[name].__getitem__)
    for dtype in MORE_DTYPES:
        for name, taken in preferred_times(results["rows"], dtype).items():
            table["rows"][f"{name} {dtype}"] = {
                "dtype": dtype,
                "sizes": sizes_of(SHAPES[name]),
                **{backend: {"microseconds": microseconds} for backend, microseconds in taken.items()},
                "prefer": min(taken, key=taken.__getitem__),
            }
    facts = results["environment"]
    table["basis"] = (
        f"Measured on {facts['gpu']} with torch {facts['torch']} and Triton {facts['triton']} at commit {facts['revision']}: "
        "microseconds of a training step in bfloat16 and, where measured, float32, merge='max', NCHW, captured in a CUDA "
        "graph over inputs beyond the L2 cache. Launches and megabytes are counted for the current kernels."
    )
    return table


def predicted_table(results: dict) -> dict:
    """The measured table with the timing model's predictions for CUDA, for kernels that no GPU has run yet. Triton's measured
    times decide against them unless they are lower by more than the model's error."""
    table = measured_table(results)
    steps = timing_model.predicted_steps()
    for name in GPU_SHAPES:
        row, microseconds = table["rows"][name], steps[name]
        row["cuda"]["microseconds"] = round(microseconds, 1)
        row["prefer"] = "cuda" if MODEL_ERROR * microseconds < row["triton"]["microseconds"] else "triton"
    table["basis"] += (
        " Except for cuda in bfloat16: its times are predicted by python -m tools.cuda.timing_model, not measured, and its "
        "float32 time is that of an earlier version."
    )
    return table


def write(table: dict) -> None:
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in table["rows"].items())
    preference.FILE.write_text(f'{{\n "basis": {json.dumps(table["basis"])},\n "rows": {{\n{rows}\n }}\n}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="count again and write the table")
    parser.add_argument(
        "--measured", type=Path, metavar="REPORT", help="write the table with the times of a report.json"
    )
    parser.add_argument(
        "--predicted", type=Path, metavar="REPORT", help="the same, but with predicted times of the CUDA kernels"
    )
    arguments = parser.parse_args()
    if arguments.predicted:
        write(predicted_table(json.loads(arguments.predicted.read_text())))
    elif arguments.measured:
        write(measured_table(json.loads(arguments.measured.read_text())))
    elif arguments.write:
        write(counted_table())
    preference.table.cache_clear()
    heads = [f"{quantity}, {backend}" for quantity in ("launches", "MB") for backend in ("CUDA", "Triton")]
    heads = ["shape", *heads, "lower bound, MB", "µs, CUDA", "µs, Triton", "preferred"]
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for name, row in preference.table()["rows"].items():
        facts = [row[backend].get(fact, "–") for fact in ("launches", "megabytes") for backend in ("cuda", "triton")]
        facts += [row.get("floor_megabytes", "–")]
        facts += [row[backend].get("microseconds", "–") for backend in ("cuda", "triton")]
        print(f"| {' | '.join(map(str, (name, *facts, row['prefer'])))} |")


if __name__ == "__main__":
    main()
