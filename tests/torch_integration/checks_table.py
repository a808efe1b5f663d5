"""`python -m tests.torch_integration.checks_table` writes CHECKS.md from the tests that carry the marker `mode`."""

import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "CHECKS.md"
BACKENDS = ("reference", "cpu", "triton", "cuda")
HEAD = """# Support matrix

Written by `python -m tests.torch_integration.checks_table` from the tests themselves; a test keeps it up to date. Each
row is a mode of use, each cell what its tests cover on a backend:

- **tested** in `make test`, with the dtypes where a test names any besides float32; on `triton`, under Triton's interpreter
- **refused**: raises an error, for the reason given
- **needs a GPU**: not in `make test`; those of commit 48a91a7 passed on an NVIDIA H200
  ([docs/gpu-kernels.md](docs/gpu-kernels.md)), newer ones and those that need several GPUs have not run
- **slow**: run by `pytest -m slow`

| mode | reference | cpu | triton | cuda |
|---|---|---|---|---|
"""


class Collector:
    """Keeps the collected tests of modes."""

    def pytest_collection_finish(self, session):
        self.items = [item for item in session.items if item.get_closest_marker("mode")]


def collect():
    collector = Collector()
    arguments = ["--collect-only", "-qq", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    folders = [str(ROOT / "tests" / folder) for folder in ("torch_integration", "models", "training")]
    code = pytest.main([*arguments, *folders], plugins=[collector])
    if code:
        raise SystemExit(f"the tests could not be collected: pytest ended with {code}")
    return collector.items


def backend_of(item) -> str:
    """The backend under test; a test without a choice runs the CPU kernels, unless its marker says otherwise."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    name = next((parameters[key] for key in ("backend", "fused", "plain", "gpu_backend") if key in parameters), None)
    name = name or item.get_closest_marker("mode").kwargs.get("backend", "cpu")
    return "reference" if name == "auto" else name


def state_of(item) -> str:
    marker = item.get_closest_marker("mode")
    if item.get_closest_marker("gpu"):
        return "needs a GPU"
    if item.get_closest_marker("slow"):
        return "slow"
    reason = marker.kwargs.get("refused")
    return f"refused: {reason}" if reason else "tested"


def table(items) -> str:
    cells = defaultdict(lambda: defaultdict(set))
    for item in items:
        dtype = getattr(item, "callspec", None) and item.callspec.params.get("dtype")
        name = str(dtype).removeprefix("torch.") if dtype is not None else ""
        cells[item.get_closest_marker("mode").args[0], backend_of(item)][state_of(item)].add(name)
    modes = sorted({mode for mode, _ in cells})
    return HEAD + "".join(f"| {mode} | {' | '.join(cell(cells[mode, b]) for b in BACKENDS)} |\n" for mode in modes)


def cell(states) -> str:
    """What a cell says; where some tests of a mode run without a GPU, those that need one are not counted up."""
    if len(states) > 1:
        states = {state: names for state, names in states.items() if state != "needs a GPU"}
    shown = []
    for state, names in sorted(states.items(), reverse=True):
        dtypes = ", ".join(sorted(names - {""}))
        shown.append(f"{state} ({dtypes})" if dtypes and state != "slow" else state)
    return "; ".join(shown) or "–"


def main():
    os.environ["SMA_EVERY_TEST"] = "1"
    text = table(collect())
    if "--check" not in sys.argv:
        FILE.write_text(text)
    elif FILE.read_text() != text:
        raise SystemExit("CHECKS.md is not what the tests say: run python -m tests.torch_integration.checks_table")


if __name__ == "__main__":
    main()
