"""The table that `auto` reads: its counts match the launchers, and calls find their rows."""

import pytest
import torch

pytest.importorskip("triton")

from benchmarks.shapes import GPU_SHAPES, SHAPES, Shape
from sma_kernels import backends
from sma_kernels.backends import preference
from tools.backend_preference import DTYPE, counted_table, measured_table, predicted_table, write
from tools.cuda import timing_model
from tools.triton.recorder import attention_head

SMALL = Shape(batch=2, values=16, height=1, width=1, regions=1, channels=1, embed=8, what="smaller than S1")
LARGE = Shape(batch=512, values=4096, height=14, width=14, regions=16, channels=8, embed=64, what="larger than S5")


def without_times(table: dict) -> dict:
    """Launches and megabytes, which are counted whatever the basis of the preferences."""
    return {
        name: {
            backend: {fact: row[backend][fact] for fact in ("launches", "megabytes")} for backend in ("cuda", "triton")
        }
        for name, row in table["rows"].items()
        if row["dtype"] == "bfloat16"
    }


def test_the_table_is_what_the_launchers_would_launch(backend, emulated_gpu):
    counted = counted_table()
    assert without_times(preference.table()) == without_times(counted)
    if preference.table()["basis"].startswith("Counted"):
        assert preference.table() == counted


def report(dtype: str = "bfloat16", **times: tuple[float, float]) -> dict:
    cell = {"dtype": dtype, "layout": "nchw", "merge": "max", "direction": "forward+backward"}
    rows = [
        {**cell, "shape": shape, "implementation": backend, "captured_us": microseconds}
        for shape, taken in times.items()
        for backend, microseconds in zip(("cuda", "triton"), taken, strict=True)
    ]
    facts = {"gpu": "NVIDIA H100", "torch": "2.11.0", "triton": "3.6.0", "revision": "abc1234"}
    return {"environment": facts, "rows": rows}


@pytest.fixture
def own_table(tmp_path, monkeypatch):
    """A table of this test, and nothing cached of another."""

    def forget():
        preference.table.cache_clear()
        preference._preferred_at.cache_clear()

    monkeypatch.setattr(preference, "FILE", tmp_path / "preference.json")
    forget()
    yield
    forget()


def test_a_measurement_decides(backend, emulated_gpu, own_table):
    write(measured_table(report(S1=(1, 2), S2=(2, 1), S3=(1, 2), S4=(2, 1), S5=(1, 2))))
    table = preference.table()
    assert table["basis"].startswith("Measured on NVIDIA H100 with torch 2.11.0 and Triton 3.6.0 at commit abc1234")
    assert [row["prefer"] for row in table["rows"].values()] == ["cuda", "triton", "cuda", "triton", "cuda"]
    assert table["rows"]["S2"]["triton"]["microseconds"] == 1
    assert without_times(table) == without_times(counted_table())


def test_a_measurement_in_float32_decides_for_float32_and_float16(backend, emulated_gpu, own_table):
    results = report(S1=(2, 1), S2=(2, 1), S3=(2, 1), S4=(2, 1), S5=(2, 1))
    results["rows"] += report("float32", S3=(1, 2))["rows"]
    write(measured_table(results))
    heads = [attention_head(SHAPES["S1"], dtype, "max", False) for dtype in (DTYPE, torch.float32, torch.float16)]
    assert [preference.preferred(head) for head in heads] == ["triton", "cuda", "cuda"]
    assert preference.table()["rows"]["S3 float32"]["cuda"] == {"microseconds": 1}


def test_a_prediction_decides_only_beyond_its_error(backend, emulated_gpu, own_table):
    steps = timing_model.predicted_steps()
    times = {shape: (1000.0, 1.19 * step if shape == "S2" else 1.21 * step) for shape, step in steps.items()}
    write(predicted_table(report(**times)))
    table = preference.table()
    assert "predicted by python -m tools.cuda.timing_model, not measured" in table["basis"]
    assert {name: row["prefer"] for name, row in table["rows"].items() if name == "S2"} == {"S2": "triton"}
    assert [row["prefer"] for name, row in table["rows"].items() if name != "S2"] == ["cuda"] * 4
    assert table["rows"]["S1"]["cuda"]["microseconds"] == round(steps["S1"], 1)


def test_a_report_without_a_shape_decides_nothing(backend, emulated_gpu):
    with pytest.raises(SystemExit, match="got none at S4, S5"):
        measured_table(report(S1=(1, 2), S2=(2, 1), S3=(1, 2)))


@pytest.mark.parametrize(
    "shape, row",
    [*((shape, name) for name, shape in SHAPES.items() if name in GPU_SHAPES), (SMALL, "S1"), (LARGE, "S5")],
)
def test_auto_tries_the_backend_of_the_nearest_row_first(shape, row):
    candidates = backends.candidates(attention_head(shape, DTYPE, "max", False))
    assert candidates[0] == preference.table()["rows"][row]["prefer"]
    assert sorted(candidates) == ["cuda", "triton"]


def test_auto_tries_every_gpu_backend_where_the_first_refuses(monkeypatch):
    """No tensor is on a GPU here: `auto` tries both backends, then falls back."""
    head = attention_head(SMALL, DTYPE, "max", False)
    asked = []
    monkeypatch.setattr(backends, "reasons", lambda name, head: asked.append(name) or ["no GPU"])
    assert backends.select("auto", head) == "reference"
    assert sorted(asked) == ["cuda", "triton"]
