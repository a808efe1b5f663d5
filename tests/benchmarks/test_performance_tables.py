"""The summary and the tables of docs/performance.md say what the results say."""

from benchmarks.performance_tables import ratio_table, summary

FACTS = {"threads": "2", "cpu": "AMD EPYC"}


def row(function: str, shape: str, merge: str, **milliseconds: float) -> dict:
    case = (function, shape, merge, "nchw", "float32", "forward+backward")
    return {case: {"milliseconds": milliseconds, "peak_bytes": {"cpu": 1, "eager": 4}}}


OPERATOR_ROWS = {
    **row("sma_attention", "S1", "max", **{"cpu": 1.0, "eager": 4.0, "torch.compile": 2.0}),
    **row("sma_attention", "S6", "none", **{"cpu": 2.0, "eager": 5.0, "torch.compile": 3.0}),
}
MODULE_ROWS = {
    **row("SMAAttention", "S1", "max", cpu=10.0, eager=12.0, convolution=8.5),
    **row("SMAAttention", "S2", "none", cpu=10.0, eager=19.0, convolution=6.1),
}


def test_the_summary_of_the_operator():
    text = " ".join(summary(OPERATOR_ROWS, FACTS).split())
    assert "take eager PyTorch 2.5 to 4.0 times as long" in text
    assert "(S1, S6; merge max, none; float32; 2 threads, AMD EPYC)" in text
    assert "SMAAttention" not in text


def test_the_summary_says_what_the_module_gains():
    text = " ".join(summary(OPERATOR_ROWS | MODULE_ROWS, FACTS).split())
    assert "The convolution takes 61% to 85% of the fused module's time" in text
    assert "the module takes 1.2 to 1.9 times as long with eager PyTorch (S1, S2; merge max, none)" in text


def test_the_module_stands_beside_the_operator():
    rows = {
        (*case[:4], dtype, passes): value
        for case, value in (OPERATOR_ROWS | MODULE_ROWS).items()
        for dtype in ("float32", "bfloat16")
        for passes in ("forward", "forward+backward")
    }
    lines = ratio_table(rows).splitlines()[2:]
    assert lines == [
        "| S1 | max | nchw | 4.00 | 2.00 | 4.00 | 4.00 | 0.25 | 1.20 | 0.85 |",
        "| S6 | none | nchw | 2.50 | 1.50 | 2.50 | 2.50 | 0.25 | – | – |",
    ]
