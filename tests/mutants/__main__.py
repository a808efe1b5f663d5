"""`python -m tests.mutants [NAME[:FIRST[-LAST]] ...]`: applies mutants to a copy of the tree, builds it, runs its tests.

Exits with 1 if a mutant survives. NAME picks lists (cpu, ...); without one, all run. `cuda:14-24` runs those of a list,
`cuda:14` that one.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
LISTS = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("__") and path.stem != "mutant"
)
LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv*", "runs", "dist", "oldest", "__pycache__", ".*_cache", ".hypothesis"
)


FORWARD = """#include "kernels.h"
namespace sma::cpu::avx2 {{ const Kernels& kernels(Dtype dtype); }}
namespace sma::cpu::{name} {{ const Kernels& kernels(Dtype dtype) {{ return avx2::kernels(dtype); }} }}
"""


def keep_one_instruction_set(copy: Path) -> None:
    """Compiles the kernels for one instruction set instead of three, which suffices for a mutant."""
    if platform.machine() == "x86_64":
        for name in ("baseline", "avx512"):
            (copy / f"csrc/cpu/isa_{name}.cpp").write_text(FORWARD.format(name=name))


def build(copy: Path) -> None:
    """Compiles changed files in place; objects of unchanged files are kept between runs."""
    process = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=copy,
        env={**os.environ, "SMA_CUDA": "0"},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise SystemExit(f"the mutant does not compile:\n{process.stdout[-3000:]}{process.stderr[-3000:]}")


def survives(mutant: Mutant, copy: Path) -> bool:
    path = copy / mutant.file
    intact = path.read_text()
    if intact.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.file}: expected one {mutant.old!r}, found {intact.count(mutant.old)}")
    try:
        path.write_text(intact.replace(mutant.old, mutant.new))
        if mutant.file.startswith("csrc/cpu") or mutant.file.startswith("csrc/ops"):
            build(copy)
        process = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests],
            cwd=copy,
            env={**os.environ, **dict(mutant.environment), "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
        if process.returncode < 0:
            return False  # a signal ended the process
        if process.returncode not in (0, 1):
            raise SystemExit(f"pytest could not run {mutant.tests}:\n{process.stdout[-3000:]}{process.stderr[-3000:]}")
        return process.returncode == 0
    finally:
        path.write_text(intact)


def select_mutants(argument: str) -> list[Mutant]:
    name, _, numbers = argument.partition(":")
    if name not in LISTS:
        raise SystemExit(f"{argument}: expected one of {', '.join(LISTS)}")
    mutants: list[Mutant] = import_module(f"tests.mutants.{name}").MUTANTS
    first, _, last = numbers.partition("-")
    return mutants[int(first) - 1 : int(last or first)] if numbers else mutants


def main() -> None:
    mutants = [mutant for argument in sys.argv[1:] or LISTS for mutant in select_mutants(argument)]
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        keep_one_instruction_set(copy)
        for number, mutant in enumerate(mutants, 1):
            lives = survives(mutant, copy)
            alive += [mutant] if lives else []
            verdict = "SURVIVED" if lives else "caught"
            print(f"[{number}/{len(mutants)}] {verdict}: {mutant.file}: {mutant.old!r} -> {mutant.new!r}", flush=True)
    print(f"{len(mutants) - len(alive)} of {len(mutants)} mutants caught")
    if alive:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
