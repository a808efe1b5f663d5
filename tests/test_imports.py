"""Every import from this project names something that exists, also in functions that no test calls."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("sma_kernels", "sma_models", "benchmarks", "tools", "tests")
FILES = [ROOT / "setup.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
# Compiled, or written by the build.
NOT_SOURCES = {"sma_kernels._C"}


def source_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def is_module(name: str) -> bool:
    """A module, or a folder of modules without __init__.py."""
    return name in NOT_SOURCES or source_of(name) is not None or ROOT.joinpath(*name.split(".")).is_dir()


@functools.cache
def names_bound(path: Path) -> set[str]:
    """Names that the module of a file defines, assigns or imports, outside of functions and classes."""
    names: set[str] = set()
    pending: list[ast.AST] = list(ast.parse(path.read_text()).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        pending += ast.iter_child_nodes(node)
    return names


def missing(module: str, name: str) -> bool:
    source = source_of(module)
    return not is_module(f"{module}.{name}") and (source is None or name not in names_bound(source))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_file_imports_exists(path):
    absent = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            ours = [alias.name for alias in node.names if alias.name.split(".")[0] in FOLDERS]
            absent += [name for name in ours if not is_module(name)]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in FOLDERS:
            absent += [f"{node.module}.{alias.name}" for alias in node.names if missing(node.module, alias.name)]
    assert not absent
