"""Loads the compiled module `sma_kernels._C`, or explains why it cannot be loaded."""

import importlib
import warnings
from importlib.machinery import all_suffixes
from types import ModuleType

import torch

from sma_kernels.backends import build_info


def module() -> ModuleType:
    return importlib.import_module("sma_kernels._C")


def _load() -> str | None:
    facts = build_info.read()
    if not facts.get("built"):
        return f"not built ({facts.get('left_out', {}).get('extension', 'no build facts beside the package')})"
    if facts["torch"] != torch.__version__:
        return f"built for another torch ({facts['torch']}; this is {torch.__version__}): reinstall sma-kernels"
    if not any(build_info.FILE.with_name(f"_C{suffix}").exists() for suffix in all_suffixes()):
        return "not built for this Python (build facts exist, but no matching module)"
    try:
        module()
    except ImportError as error:
        return f"built, but does not load: {error}"
    return None


LOAD_ERROR = _load()  # None once the module is loaded
if LOAD_ERROR:
    warnings.warn(
        f"sma_kernels has no compiled module here: {LOAD_ERROR}. CPU tensors run through the reference, which is "
        "slower and needs more memory.",
        stacklevel=2,
    )
