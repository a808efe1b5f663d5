"""The layout of the tree: unique file names, short files, and meaningful names of variables."""

import ast
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 300
# Names that Python, pytest or this project uses in many folders for the same purpose.
COMMON_NAMES = {"__init__.py", "__main__.py", "conftest.py", "environment.py"}
# Folders whose files are named after others: a command, a backend, or the file that their mutants change.
NAMED_AFTER_OTHERS = ("sma_models/cli/", "tests/mutants/", "sma_kernels/triton_kernels/", "sma_kernels/backends/")
# Names of variables that carry no information.
EMPTY_NAMES = {"found", "given", "kept", "place"}


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
    ambiguous = {name: paths for name, paths in folders.items() if len(paths) > 1}
    assert ambiguous == {}, "one name, one meaning"


def test_files_are_short():
    lengths = {
        name: len((ROOT / name).read_text(encoding="utf-8").splitlines())
        for name in tracked("*.py", "*.cpp", "*.h", "*.cu", "*.cuh")
    }
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def assigned_names(path: Path) -> list[str]:
    """Names assigned in a file, including arguments of functions and targets of loops."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
    return names


def test_variables_are_named_after_what_they_hold():
    empty = {name: EMPTY_NAMES & set(assigned_names(ROOT / name)) for name in tracked("*.py")}
    assert {name: names for name, names in empty.items() if names} == {}, "name variables after what they hold"
