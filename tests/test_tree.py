"""The layout of the tree: one meaning per file name, short files, and names of variables that say what they hold."""

import ast
import subprocess
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 300
# Files that may be longer until they are split; the list of mutants may stay.
LONG_FILES = {
    "sma_kernels/triton_kernels/staged_forward.py",
    "sma_models/training/task.py",
    "tests/data/test_au_databases.py",
    "tests/metrics/test_crossval.py",
    "tests/mutants/databases.py",
    "tests/training/test_resumed_training.py",
}
# Names with several meanings that are left: this set may only shrink.
AMBIGUOUS_NAMES = {"base.py", "calibration.py", "checks.py", "choice.py", "test_edges.py", "test_smoke.py"}
# Names that Python, pytest or this project uses in many folders for the same purpose.
COMMON_NAMES = {"__init__.py", "__main__.py", "conftest.py", "environment.py"}
# Folders whose files are named after what they belong to: a command, or the file whose mutants they hold.
NAMED_AFTER_OTHERS = ("sma_models/cli/", "tests/mutants/", "sma_kernels/triton_kernels/", "sma_kernels/backends/")
# Names of variables that say nothing. Uses that are left per folder: these numbers may only fall.
EMPTY_NAMES = {"found", "given", "kept", "place"}
EMPTY_NAMES_LEFT = {
    "sma_kernels": 1,
    "sma_kernels/backends": 5,
    "sma_kernels/ops": 5,
    "sma_kernels/triton_kernels": 6,
    "sma_models/cli": 6,
    "sma_models/data": 19,
    "sma_models/faces": 15,
    "sma_models/metrics": 5,
    "sma_models/models": 1,
    "sma_models/synthetic": 8,
    "sma_models/training": 1,
    "tests": 1,
    "tests/cuda_emulator": 14,
    "tests/data": 9,
    "tests/faces": 16,
    "tests/helpers": 3,
    "tests/metrics": 5,
    "tests/models": 5,
    "tests/operators": 17,
    "tests/torch_integration": 28,
    "tests/training": 4,
    "tests/triton": 10,
    "tools": 2,
}


@cache
def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(autouse=True)
def checkout():
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")


def test_a_file_name_has_one_meaning():
    folders = defaultdict(list)
    for name in tracked("*.py"):
        path = Path(name)
        if path.name not in COMMON_NAMES and not name.startswith(NAMED_AFTER_OTHERS):
            folders[path.name].append(str(path.parent))
    ambiguous = {name: paths for name, paths in folders.items() if len(paths) > 1 and name not in AMBIGUOUS_NAMES}
    assert ambiguous == {}, "one name, one meaning"


def test_files_are_short():
    lengths = {
        name: len((ROOT / name).read_text(encoding="utf-8").splitlines())
        for name in tracked("*.py", "*.cpp", "*.h", "*.cu", "*.cuh")
    }
    assert {name: length for name, length in lengths.items() if length > MAX_LINES and name not in LONG_FILES} == {}


def assigned_names(path: Path) -> list[str]:
    """Names that are assigned in a file, including arguments of functions and targets of loops."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
    return names


def test_variables_are_named_after_what_they_hold():
    counts: Counter[str] = Counter()
    for name in tracked("*.py"):
        folder = "/".join(Path(name).parts[:2]) if len(Path(name).parts) > 2 else Path(name).parts[0]
        counts[folder] += sum(variable in EMPTY_NAMES for variable in assigned_names(ROOT / name))
    more = {folder: count for folder, count in counts.items() if count > EMPTY_NAMES_LEFT.get(folder, 0)}
    assert more == {}, "name variables after what they hold"
