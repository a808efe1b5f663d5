"""The GPU report as Markdown."""


def _speed_table(rows: list[dict], kind: str, copied: float | None) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.get(kind, {})))
    if not names:
        return []
    ours = [name for name in names if name in ("cuda", "triton", "cpu")]
    head = ["shape", "dtype", "layout", "direction", *(f"{name}, µs" for name in names), "best of ours ÷ floor"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        times = row.get(kind, {})
        if not times:
            continue
        best = min((times[name] for name in ours if name in times), default=None)
        floor = 1e3 * row["floor_bytes"] / copied if copied else None
        cells = [row["shape"], row["dtype"], row["layout"], row["direction"]]
        cells += [f"{1e3 * times[name]:.1f}" if name in times else "–" for name in names]
        cells.append(f"{best / floor:.2f}" if best and floor else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def markdown(found: dict) -> str:
    """Machine, stages, then the times called eagerly and captured in a CUDA graph, and peers that failed."""
    copied = found.get("copy_bytes_per_second")
    lines = ["# GPU report", "", ", ".join(f"{name} {value}" for name, value in found["machine"].items()), ""]
    if copied:
        lines += [f"Copy bandwidth, read and written: {copied / 1e12:.2f} TB/s.", ""]
    for name, stage in found["stages"].items():
        lines.append(f"- **{name}** ({stage['seconds']} s): {stage['result']}")
    for kind, title in (("milliseconds", "Called eagerly"), ("milliseconds_captured", "Captured in a CUDA graph")):
        table = _speed_table(found["rows"], kind, copied)
        lines += ["", f"## {title}", "", *table] if table else []
    errors = {
        f"{row['shape']} {row.get('dtype', '')} {name}": text
        for row in found["rows"]
        for name, text in row.get("errors", {}).items()
    }
    lines += ["", "## Failed", ""] * bool(errors) + [f"- {name}: {text}" for name, text in errors.items()]
    return "\n".join(lines) + "\n"
