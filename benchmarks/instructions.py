"""`python -m benchmarks.instructions`: instructions that the CPU kernels execute for one sample, counted by callgrind.

Counts repeat exactly on a busy machine, and depend on the compiler. The AVX2 kernels are counted, since valgrind knows no
AVX-512. `--write` commits the counts, which a test holds the kernels to.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.environment import ROOT
from benchmarks.shapes import SHAPES

BUILD = ROOT / "build" / "instructions"
TABLE = Path(__file__).parent / "results" / "instructions.json"
FLAGS = ("-std=c++20", "-O3", "-fno-math-errno", "-g1", "-Wno-psabi")
ROWS = [
    (shape, layout, direction)
    for shape in ("S1", "S2", "S3", "S4")
    for layout in ("nchw", "nhwc")
    for direction in ("forward", "backward")
]


def why_not() -> str | None:
    missing = [tool for tool in ("g++", "valgrind") if shutil.which(tool) is None]
    return f"needs {' and '.join(missing)}" if missing else None


def compiler() -> str:
    return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def build() -> Path:
    """The kernels with the small program that calls them."""
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


def arguments(shape_name: str, layout: str, direction: str, rounds: int) -> list[str]:
    shape = SHAPES[shape_name]
    sizes = (shape.regions, shape.channels, shape.embed, shape.values, shape.side**2)
    return [direction, layout, *map(str, sizes), str(rounds)]


def warm_seconds(program: Path, shape_name: str, layout: str, direction: str, rounds: int = 30) -> float:
    """The middle time of one sample that lies in the caches, on one thread, with this CPU's own instruction set."""
    done = subprocess.run(
        [program, *arguments(shape_name, layout, direction, rounds)], capture_output=True, text=True, check=True
    )
    return float(done.stdout) * 1e-9


def count(program: Path, shape_name: str, layout: str, direction: str, profile: Path | None = None) -> int:
    """Instructions of one sample; callgrind's profile is kept where `profile` names a file."""
    done = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={profile or '/dev/null'}"),
            *("--collect-atstart=no", f"--toggle-collect=counted_{direction}"),
            *(program, *arguments(shape_name, layout, direction, 0)),
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
    parser.add_argument("--write", action="store_true", help="commit the counts")
    parser.add_argument("--profile", nargs=3, metavar=("SHAPE", "LAYOUT", "DIRECTION"), help="where one count goes")
    chosen = parser.parse_args()
    program = build()
    if chosen.profile:
        profile = BUILD / "profile"
        count(program, *chosen.profile, profile)
        subprocess.run(["callgrind_annotate", profile, "--auto=no"], check=True)
        return
    found = {" ".join(row): count(program, *row) for row in ROWS}
    committed = json.loads(TABLE.read_text())["counts"] if TABLE.exists() else {}
    print("| row | instructions | committed |\n|---|---|---|")
    for row, counted in found.items():
        print(f"| {row} | {counted:,} | {committed.get(row, 0):,} |")
    if chosen.write:
        TABLE.write_text(json.dumps({"compiler": compiler(), "counts": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
