"""The table that `auto` reads: its counts are those of the launchers, and calls find their rows."""

import pytest

pytest.importorskip("triton")

from sma_kernels import backends
from sma_kernels.backends import choice
from sma_kernels.triton_kernels.recorded import SHAPES, Shape, attention_head
from tests.cuda_host.choice import DTYPE, MERGE, counted_table

SMALL = Shape(batch=2, C=16, side=1, R=1, K=1, D=8)
LARGE = Shape(batch=512, C=4096, side=14, R=16, K=8)


def test_the_table_is_what_the_launchers_would_launch(backend, card):
    assert choice.table() == counted_table()


@pytest.mark.parametrize(
    "shape, row", [*((shape, name) for name, shape in SHAPES.items()), (SMALL, "S1"), (LARGE, "S5")]
)
def test_auto_tries_the_backend_of_the_nearest_row_first(shape, row):
    candidates = backends._candidates(attention_head(shape, DTYPE, MERGE, False))
    assert candidates[0] == choice.table()["rows"][row]["prefer"]
    assert sorted(candidates) == ["cuda", "triton"]


def test_auto_tries_every_gpu_backend_where_the_first_refuses(monkeypatch):
    """Nothing is on a card here: `auto` asks both backends, then falls back."""
    head = attention_head(SMALL, DTYPE, MERGE, False)
    asked = []
    monkeypatch.setattr(backends, "reasons", lambda name, head: asked.append(name) or ["no card"])
    assert backends.select("auto", head) == "reference"
    assert sorted(asked) == ["cuda", "triton"]
