"""The report as Markdown."""

from collections.abc import Iterator
from typing import Any

OURS = ("cuda", "triton", "cpu")
CONFIGURATION = ("shape", "dtype", "layout", "merge", "direction")
AGREEMENT = "agreement"  # the error of a row whose results are not those of eager PyTorch
KERNEL_NAME = 60  # characters of a kernel's name in the table; report.json has them all


def _table(head: list[str], rows: list[list[Any]]) -> list[str]:
    def line(cells: list[Any]) -> str:
        return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"

    return [line(head), "|---" * len(head) + "|", *(line(row) for row in rows), ""]


def by_configuration(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, dict[str, Any]]]:
    """{configuration: {implementation: row}}, in the order in which they were measured."""
    grouped: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(tuple(row[name] for name in CONFIGURATION), {})[row["implementation"]] = row
    return grouped


def times(results: dict[str, Any], quantity: str) -> list[str]:
    """Microseconds of every implementation; a cell that failed says so."""
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
        floor = next(iter(cells.values())).get("floor_bytes")
        share = f"{best * bandwidth / floor / 1e6:.1f}" if best and floor and bandwidth else "–"
        lines.append([*configuration, *texts, share])
    return _table([*CONFIGURATION, *(f"{name}, µs" for name in names), "best of ours ÷ floor"], lines)


def _cell(row: dict[str, Any] | None, quantity: str) -> str:
    if row is None:
        return "–"
    if quantity not in row:
        return "failed" if row.get("errors") else "–"
    return f"{row[quantity]:.1f}{'' if agrees(row) else ' (wrong results)'}"


def agrees(row: dict[str, Any]) -> bool:
    """Whether it computes what eager PyTorch computes."""
    return AGREEMENT not in row.get("errors", {})


def kernel_times(rows: list[dict[str, Any]]) -> list[str]:
    """Every launch of our training steps."""
    lines = []
    for row in rows:
        if row["implementation"] in OURS and row["direction"] == "forward+backward":
            for kernel in row.get("kernels", []):
                cells = [*(row[name] for name in CONFIGURATION[:-1]), row["implementation"]]
                lines.append([*cells, kernel["kernel"][:KERNEL_NAME], kernel["launches"], kernel["us"]])
    head = [*CONFIGURATION[:-1], "implementation", "kernel", "launches", "µs each"]
    return _table(head, lines) if lines else []


def failures(results: dict[str, Any]) -> Iterator[str]:
    for smoke in results["smoke"]:
        for text in smoke["wrong"]:
            yield f"smoke, {smoke['backend']}, {smoke['case']}: {text}"
    for row in results["rows"]:
        for quantity, text in row.get("errors", {}).items():
            yield f"{' '.join(row[name] for name in CONFIGURATION)}, {row['implementation']}, {quantity}: {text}"
    for name, step in results["steps"].items():
        for label, command in step["commands"].items():
            if command["status"] != "ok":
                end = f"\n\n```\n{command['end']}\n```" if command["end"] else ""
                yield f"{name}, {label}: {command['status']}{end}"


def preferred_times(rows: list[dict[str, Any]], dtype: str = "bfloat16") -> dict[str, dict[str, float]]:
    """{shape: {backend: microseconds}} of the captured training step in this dtype, `merge="max"`, NCHW, where both GPU
    backends have one: the rows of the table by which `backend="auto"` chooses."""
    times = {}
    for configuration, cells in by_configuration(rows).items():
        ours = [(name, row) for name, row in cells.items() if name in ("cuda", "triton") and agrees(row)]
        taken = {name: row["captured_us"] for name, row in ours if "captured_us" in row}
        if len(taken) == 2 and configuration[1:] == (dtype, "nchw", "max", "forward+backward"):
            times[configuration[0]] = taken
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
            f"- {shape}: {min(taken, key=taken.__getitem__)}"
            for shape, taken in preferred_times(results["rows"]).items()
        ],
        "Failures": [f"- {text}" for text in failures(results)],
    }
    lines = ["# GPU report", ""]
    for title, body in sections.items():
        if body:
            lines += [f"## {title}", "", *body, ""]
    return "\n".join(lines).rstrip() + "\n"
