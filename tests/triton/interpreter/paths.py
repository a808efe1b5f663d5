"""The paths of a launch, each reached at sizes that are feasible in the interpreter."""

from sma_kernels.args import AttentionArgs
from sma_kernels.triton_kernels import call, plan
from sma_kernels.triton_kernels.blocked import plan as blocked_plan
from tests.helpers import cases
from tests.helpers.cases import Case

PATHS = (
    "one launch",
    "one launch, several tiles",
    "two launches",
    "blocked",
    "blocked, many pooled rows",
    "divided",
    "divided, several blocks",
)


def take(path: str, monkeypatch, merge: str, shared: bool, batch: int = 1) -> Case:
    """A case that takes `path`, with limits lowered for it."""
    # A low margin, because a hinge that is barely active would measure the rounding of one cosine.
    small = dict(regions=3, channels=2, embed=5, height=5, width=4, margin=0.1)
    small |= dict(batch=batch, merge=merge, shared=shared)
    if path.startswith("divided"):
        return _divide(path, monkeypatch, small)
    monkeypatch.setattr(plan, "FEW_SAMPLES", 0)
    if path == "one launch":
        monkeypatch.setattr(plan, "MAX_RECOMPUTED", 1e9)
        return Case(**small, values=150)
    if path == "one launch, several tiles":
        # Enough positions beyond the first tile that some rows have their maximum there.
        return Case(**{**small, "height": 7, "width": 19}, values=19)
    if path == "two launches":
        monkeypatch.setattr(plan, "MAX_RECOMPUTED", 0.0)
        monkeypatch.setattr(plan, "ENOUGH_PROGRAMS", 3 * batch)
        return Case(**{**small, "height": 5, "width": 13, "embed": 35}, values=133)
    if path == "blocked":
        monkeypatch.setattr(call, "MAX_ROWS", 0)
        _limit_block_rows(monkeypatch)
        return Case(**{**small, "regions": 9}, values=9)
    monkeypatch.setattr(plan, "MAX_ROWS", 16)
    monkeypatch.setattr(plan, "MAX_ROWS_POOLED", 16)
    return Case(**{**small, "channels": 3, "regions": 9}, values=19)


def _limit_block_rows(monkeypatch) -> None:
    monkeypatch.setattr(blocked_plan, "BLOCK_ROWS", 16)
    monkeypatch.setattr(blocked_plan, "BLOCK_ROWS_SPLIT", 8)


def _divide(path: str, monkeypatch, small: dict) -> Case:
    """Positions divided over programs: chunks of two tiles, of which the last is short; or many chunks of one tile, of
    several blocks of maps and slices of the values."""
    monkeypatch.setattr(plan, "MIN_DIVIDED", 8)
    if path == "divided":
        monkeypatch.setattr(plan, "ENOUGH_PROGRAMS", 3 * small["batch"])
        monkeypatch.setattr(blocked_plan, "BLOCK_ROWS_SPLIT", 32)
        return Case(**{**small, "height": 7, "width": 19, "embed": 7}, values=19)
    monkeypatch.setattr(plan, "MAX_PARTIALS_DIVIDED", 1e9)
    _limit_block_rows(monkeypatch)
    return Case(**{**small, "regions": 9}, values=133)


def head_of(case: Case) -> AttentionArgs:
    tensors = cases.inputs(case)
    return AttentionArgs(
        values=tensors["values"],
        features=tensors["features"],
        weight=tensors["weight"],
        merge=case.merge,
        diversify=True,
        correlate=True,
    )
