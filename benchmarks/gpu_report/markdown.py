"""The report as Markdown."""

from collections.abc import Iterator
from typing import Any

from benchmarks.result_rows import current_names
from benchmarks.shapes import SHAPES
from sma_models.utils.markdown_table import table_lines

OURS = ("cuda", "triton", "cpu")
CONFIGURATION = ("shape", "dtype", "layout", "merge", "pass")
AGREEMENT = "agreement"  # key of the error of a row whose results differ from eager PyTorch
KERNEL_NAME = 60  # characters of a kernel name in the table; report.json has them in full


def _table(header: list[str], rows: list[list[Any]]) -> list[str]:
    escaped = ([str(cell).replace("|", "/") for cell in row] for row in rows)
    return [*table_lines(header, escaped), ""]


def by_configuration(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, dict[str, Any]]]:
    """{configuration: {implementation: row}}, in the order of measurement."""
    grouped: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in map(current_names, rows):
        grouped.setdefault(tuple(row[name] for name in CONFIGURATION), {})[row["implementation"]] = row
    return grouped


def times(results: dict[str, Any], quantity: str) -> list[str]:
    """Microseconds of every implementation, or "failed"."""
    rows = [row for row in results["rows"] if quantity in row or row.get("errors")]
    if not any(quantity in row for row in rows):
        return []
    names = list(dict.fromkeys(row["implementation"] for row in rows))
    bandwidth = results["environment"].get("copy_bytes_per_second")
    lines = []
    for configuration, cells in by_configuration(rows).items():
        texts = [_cell(cells.get(name), quantity) for name in names]
        ours = [row for name, row in cells.items() if name in OURS and quantity in row and agrees(row)]
        best = min((row[quantity] for row in ours), default=None)
        lower_bound = next(iter(cells.values())).get("lower_bound_bytes")
        share = f"{best * bandwidth / lower_bound / 1e6:.1f}" if best and lower_bound and bandwidth else "–"
        lines.append([*configuration, *texts, share])
    return _table([*CONFIGURATION, *(f"{name}, µs" for name in names), "best of ours ÷ lower bound"], lines)


def _cell(row: dict[str, Any] | None, quantity: str) -> str:
    if row is None:
        return "–"
    if quantity not in row:
        return "failed" if row.get("errors") else "–"
    return f"{row[quantity]:.1f}{'' if agrees(row) else ' (wrong results)'}"


def agrees(row: dict[str, Any]) -> bool:
    """Whether its results agree with eager PyTorch."""
    return AGREEMENT not in row.get("errors", {})


def kernel_times(rows: list[dict[str, Any]]) -> list[str]:
    """Every kernel of our training steps."""
    lines = []
    for row in map(current_names, rows):
        if row["implementation"] in OURS and row["pass"] == "forward+backward":
            for kernel in row.get("kernels", []):
                cells = [*(row[name] for name in CONFIGURATION[:-1]), row["implementation"]]
                lines.append([*cells, kernel["kernel"][:KERNEL_NAME], kernel["launches"], kernel["us"]])
    head = [*CONFIGURATION[:-1], "implementation", "kernel", "launches", "µs each"]
    return _table(head, lines) if lines else []


def failures(results: dict[str, Any]) -> Iterator[str]:
    for smoke in results["smoke"]:
        for text in smoke["wrong"]:
            yield f"smoke, {smoke['backend']}, {smoke['case']}: {text}"
    for row in map(current_names, results["rows"]):
        for quantity, text in row.get("errors", {}).items():
            yield f"{' '.join(row[name] for name in CONFIGURATION)}, {row['implementation']}, {quantity}: {text}"
    for name, step in results["steps"].items():
        for label, command in step["commands"].items():
            if command["status"] != "ok":
                tail = f"\n\n```\n{command['end']}\n```" if command["end"] else ""
                yield f"{name}, {label}: {command['status']}{tail}"


def preferred_times(rows: list[dict[str, Any]], dtype: str = "bfloat16") -> dict[str, dict[str, float]]:
    """{shape: {backend: microseconds}} of the captured training step in this dtype, NCHW, with the shape's first merge, if
    both GPU backends have one: the rows of the table behind `backend="auto"`."""
    times = {}
    for configuration, cells in by_configuration(rows).items():
        ours = [(name, row) for name, row in cells.items() if name in ("cuda", "triton") and agrees(row)]
        microseconds = {name: row["captured_us"] for name, row in ours if "captured_us" in row}
        shape = configuration[0]
        wanted = (dtype, "nchw", SHAPES[shape].merges[0], "forward+backward")
        if len(microseconds) == 2 and configuration[1:] == wanted:
            times[shape] = microseconds
    return times


def steps(results: dict[str, Any]) -> list[str]:
    lines = []
    for name, step in results["steps"].items():
        counted = list(step["commands"].values())
        good = sum(command["status"] == "ok" for command in counted)
        notes = "; ".join(step.get("notes", []))
        lines.append([name, step["state"], step["seconds"], f"{good} of {len(counted)}", notes])
    return _table(["step", "state", "seconds", "commands that succeeded", "notes"], lines)


def markdown(results: dict[str, Any]) -> str:
    sections = {
        "Environment": [f"- {name}: {value}" for name, value in results["environment"].items()] + [""],
        "Steps": steps(results),
        "Captured in a CUDA graph, inputs beyond the L2 cache": times(results, "captured_us"),
        "Called eagerly": times(results, "called_us"),
        "Kernels of a training step": kernel_times(results["rows"]),
        "Faster backend": [
            f"- {shape}: {min(times, key=times.__getitem__)}"
            for shape, times in preferred_times(results["rows"]).items()
        ],
        "Failures": [f"- {text}" for text in failures(results)],
    }
    lines = ["# GPU report", ""]
    for title, body in sections.items():
        if body:
            lines += [f"## {title}", "", *body, ""]
    return "\n".join(lines).rstrip() + "\n"
