"""The paths of a launch, each reached at sizes that are feasible in the interpreter."""

from sma_kernels.args import AttentionArgs
from sma_kernels.triton_kernels import plan
from tests.helpers import cases
from tests.helpers.cases import Case

PATHS = (
    "one launch",
    "one launch, several tiles",
    "two launches",
    "blocked",
    "blocked, many pooled rows",
)


def take(path: str, monkeypatch, merge: str, shared: bool, batch: int = 1) -> Case:
    """A case that takes `path`, with limits lowered for it."""
    # A low margin, because a hinge that is barely active would measure the rounding of one cosine.
    small = dict(regions=3, channels=2, embed=5, height=5, width=4, margin=0.1)
    small |= dict(batch=batch, merge=merge, shared=shared)
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
        monkeypatch.setattr(plan, "MAX_POSITIONS", 8)
        monkeypatch.setattr(plan, "BLOCK_ROWS", 16)
        monkeypatch.setattr(plan, "BLOCK_ROWS_SPLIT", 8)
        return Case(**{**small, "regions": 9}, values=9)
    monkeypatch.setattr(plan, "MAX_ROWS", 16)
    monkeypatch.setattr(plan, "MAX_ROWS_POOLED", 16)
    return Case(**{**small, "channels": 3, "regions": 9}, values=19)


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
