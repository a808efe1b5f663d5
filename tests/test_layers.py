"""The layers of the packages: at load time, each module imports only from the layers below it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module or package -> the modules and packages of this project that it may import at load time. The longest entry
# that contains a module applies to it, and the module may always import from that entry itself. Imports inside functions
# do not count: they let a lower layer reach a higher one when it is called.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "sma_kernels.version": (),
    "sma_kernels.args": (),
    "sma_kernels.library": (),
    "sma_kernels.checks": (),
    "sma_kernels.reference": ("sma_kernels.args",),
    "sma_kernels.triton_kernels": ("sma_kernels.args",),
    "sma_kernels.backends": ("sma_kernels.args", "sma_kernels.checks", "sma_kernels.library"),
    "sma_kernels.backends.build_info": (),
    "sma_kernels.backends.extension": ("sma_kernels.backends.build_info",),
    "sma_kernels.backends.preference": ("sma_kernels.args",),
    "sma_kernels.backends.cpu": ("sma_kernels.args", "sma_kernels.library", "sma_kernels.backends.extension"),
    "sma_kernels.backends.cuda": (
        "sma_kernels.args",
        "sma_kernels.library",
        "sma_kernels.backends.build_info",
        "sma_kernels.backends.extension",
    ),
    "sma_kernels.backends.triton": ("sma_kernels.args", "sma_kernels.checks", "sma_kernels.library"),
    "sma_kernels.fast_path": ("sma_kernels.args", "sma_kernels.checks", "sma_kernels.backends"),
    "sma_kernels.ops": ("sma_kernels.args", "sma_kernels.checks", "sma_kernels.library"),
    "sma_kernels": ("sma_kernels",),
    "sma_models": (),
    "sma_models.utils": ("sma_kernels",),
    "sma_models.synthetic": (),
    "sma_models.data": ("sma_models.synthetic", "sma_models.utils"),
    "sma_models.losses": ("sma_kernels", "sma_models.utils"),
    "sma_models.metrics": ("sma_kernels", "sma_models.data", "sma_models.utils"),
    "sma_models.models": ("sma_kernels", "sma_models.metrics", "sma_models.utils"),
    "sma_models.training": (
        "sma_models.data",
        "sma_models.losses",
        "sma_models.metrics",
        "sma_models.models",
        "sma_models.utils",
    ),
    "sma_models.faces": ("sma_models.data", "sma_models.models", "sma_models.utils"),
    "sma_models.figures": (
        "sma_models.data",
        "sma_models.faces",
        "sma_models.metrics",
        "sma_models.models",
        "sma_models.synthetic",
        "sma_models.utils",
    ),
    "sma_models.report": (
        "sma_models.data",
        "sma_models.faces",
        "sma_models.figures",
        "sma_models.metrics",
        "sma_models.utils",
    ),
    # A leaf, which only the command line imports.
    "sma_models.ablation": (
        "sma_kernels",
        "sma_models.data",
        "sma_models.losses",
        "sma_models.metrics",
        "sma_models.models",
        "sma_models.synthetic",
        "sma_models.training",
        "sma_models.utils",
    ),
    "sma_models.cli": ("sma_models",),
}


def modules() -> dict[str, Path]:
    packages = {entry.split(".")[0] for entry in MAY_IMPORT}
    paths = [path for package in sorted(packages) for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def lies_in(module: str, entry: str) -> bool:
    return module == entry or module.startswith(f"{entry}.")


def statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """All statements that run when a module is loaded: not those of functions."""
    flat = []
    for statement in body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            nested = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
            flat += [statement, *statements(nested)]
    return flat


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of this project that a file imports at load time; a package, if nothing more specific is named."""
    names = set()
    for statement in statements(ast.parse(path.read_text()).body):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            qualified = {f"{statement.module}.{alias.name}" for alias in statement.names}
            names |= {name if name in known else statement.module for name in qualified}
    return names & known.keys()


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_from_the_layers_below_it(module):
    known = modules()
    layer = max((entry for entry in MAY_IMPORT if lies_in(module, entry)), key=len)
    allowed = (layer, *MAY_IMPORT[layer])
    assert not [name for name in imported(known[module], known) if not any(lies_in(name, entry) for entry in allowed)]


def test_every_entry_names_a_module():
    assert not {entry for layer, below in MAY_IMPORT.items() for entry in (layer, *below)} - modules().keys()
