"""`python -m benchmarks.instructions`: instructions of the CPU kernels for one sample, counted by callgrind.

Counts are exact even on a busy machine, but depend on the compiler. The AVX2 kernels are counted, since valgrind does not
support AVX-512. `--write` stores the counts, and a test compares the kernels with them. Of a sample that threads share, the
instructions of the thread with the most work are counted, on which the others wait.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

from benchmarks.environment import ROOT
from benchmarks.shapes import SHAPES, merge_rows, row_name
from sma_models.utils.markdown_table import table_lines

BUILD = ROOT / "build" / "instructions"
TABLE = Path(__file__).parent / "results" / "instructions.json"
FLAGS = ("-std=c++20", "-O3", "-fno-math-errno", "-g1", "-Wno-psabi")
LAYOUTS, PASSES = ("nchw", "nhwc"), ("forward", "backward")
COUNTED_SHAPES = ("S1", "S2", "S3", "S4", "S6", "S8")  # a sample of S7 is one of S3
ROWS: dict[str, tuple[str, str, str, str, int]] = {  # arguments of `count` by name
    f"{row_name(shape, merge)} {layout} {pass_name}": (shape, merge, layout, pass_name, 1)
    for (shape, merge), layout, pass_name in product(merge_rows(COUNTED_SHAPES), LAYOUTS, PASSES)
}
ROWS |= {
    f"{shape} {layout} {pass_name}, shared by {threads} threads": (
        *(shape, SHAPES[shape].merges[0], layout, pass_name, threads),
    )
    for shape, layout, pass_name, threads in product(("S3", "S6"), LAYOUTS, PASSES, (2, 16))
}


def unavailable() -> str | None:
    missing = [tool for tool in ("g++", "valgrind") if shutil.which(tool) is None]
    return f"needs {' and '.join(missing)}" if missing else None


def compiler() -> str:
    return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def build() -> Path:
    """Compile the kernels with a small program that calls them."""
    BUILD.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "benchmarks" / "bench_kernels.cpp", *sorted((ROOT / "csrc" / "cpu").glob("*.cpp"))]
    objects = {source: BUILD / f"{source.stem}.o" for source in sources}
    rules = [
        f"rule compile\n command = g++ {' '.join(FLAGS)} -MMD -MF $out.d -c $in -o $out\n depfile = $out.d\n deps = gcc",
        "rule link\n command = g++ $in -o $out",
        *(f"build {target}: compile {source}" for source, target in objects.items()),
        f"build {BUILD / 'count'}: link {' '.join(map(str, objects.values()))}",
    ]
    (BUILD / "build.ninja").write_text("\n".join(rules) + "\n")
    subprocess.run(["ninja", "-C", BUILD, "--quiet"], check=True)
    return BUILD / "count"


def arguments(shape_name: str, merge: str, layout: str, pass_name: str, rounds: int, threads: int = 1) -> list[str]:
    shape = SHAPES[shape_name]
    sizes = (shape.regions, shape.channels, shape.groups, shape.embed, shape.values, shape.positions)
    return [pass_name, layout, merge, *map(str, (*sizes, rounds, threads))]


def warm_seconds(program: Path, shape_name: str, merge: str, layout: str, pass_name: str, rounds: int = 30) -> float:
    """Median seconds of one sample in the caches, as far as it fits, on one thread, with the instruction set of this CPU."""
    command = [program, *arguments(shape_name, merge, layout, pass_name, rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e-9


def count(
    program: Path,
    shape_name: str,
    merge: str,
    layout: str,
    pass_name: str,
    threads: int = 1,
    profile: Path | None = None,
) -> int:
    """Instructions of one sample, by the first of `threads`; the profile of callgrind is written to `profile`, if given."""
    done = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={profile or '/dev/null'}"),
            *("--collect-atstart=no", f"--toggle-collect=counted_{pass_name}", "--toggle-collect=other_threads"),
            *(program, *arguments(shape_name, merge, layout, pass_name, 0, threads)),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SMA_CPU_CAPABILITY": "avx2"},
    )
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="store the counts")
    parser.add_argument(
        "--profile", nargs=4, metavar=("SHAPE", "MERGE", "LAYOUT", "PASS"), help="annotate one count by source"
    )
    args = parser.parse_args()
    program = build()
    if args.profile:
        profile = BUILD / "profile"
        count(program, *args.profile, profile=profile)
        subprocess.run(["callgrind_annotate", profile, "--auto=no"], check=True)
        return
    counts = {name: count(program, *row) for name, row in ROWS.items()}
    committed = json.loads(TABLE.read_text())["counts"] if TABLE.exists() else {}
    rows = ((row, f"{counted:,}", f"{committed.get(row, 0):,}") for row, counted in counts.items())
    print("\n".join(table_lines(("row", "instructions", "committed"), rows)))
    if args.write:
        TABLE.write_text(json.dumps({"compiler": compiler(), "counts": counts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
