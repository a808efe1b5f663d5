"""The results so far, written to disk after every command."""

import json
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_report.commands import Command, Outcome, run_in_turn, run_together
from benchmarks.gpu_report.markdown import CONFIGURATION, markdown

CELL = (*CONFIGURATION, "implementation")  # the key of a row of times
# At most eight files, including one that may be incomplete: some rented machines return no more.
FILES = ("report.json", "report.md", "speed.png", "cuda.txt", "triton.txt", "times.txt", "checks.txt")


class Report:
    """The results of one machine. `results` is what report.json holds:

    environment   {fact: text}
    steps         {step: {"state": ..., "seconds": ..., "commands": {label: {"status", "seconds", "end"}}}}
    smoke         [{"backend", "case", "wrong": [text], "seconds"}]
    rows          [{shape, dtype, layout, merge, pass, implementation, called_us, captured_us, kernels, peak_bytes,
                    lower_bound_bytes, errors: {quantity: text}}]
    """

    def __init__(self, folder: Path, budget: float):
        self.folder = folder
        self.started, self.budget = time.monotonic(), budget
        self.results: dict[str, Any] = {"environment": {}, "steps": {}, "smoke": [], "rows": []}
        folder.mkdir(parents=True, exist_ok=True)
        for log in FILES[3:]:
            (folder / log).touch()

    def left(self) -> float:
        return self.budget - (time.monotonic() - self.started)

    def run_together(self, step: str, commands: Sequence[Command]) -> list[Outcome]:
        if self.left() > 0:
            outcomes = run_together(commands, self.folder, self.left)
        else:
            outcomes = [Outcome(command.label, "not run: out of time", 0.0, "") for command in commands]
        for outcome in outcomes:
            self.add(step, outcome)
        self.write()
        return outcomes

    def run_in_turn(self, step: str, commands: Sequence[Command]) -> None:
        """Commands that are not reached in time are omitted, and counted in a note."""
        missed = len(commands)
        for outcome in run_in_turn(commands, self.folder, self.left):
            self.add(step, outcome)
            self.write()
            missed -= 1
        if missed:
            self.note(step, f"{missed} of {len(commands)} not run: out of time")

    def run(self, step: str, command: Command) -> Outcome:
        return self.run_together(step, [command])[0]

    def note(self, step: str, text: str) -> None:
        notes = self.step(step).setdefault("notes", [])
        if text not in notes:
            notes.append(text)

    def step(self, name: str) -> dict[str, Any]:
        return self.results["steps"].setdefault(name, {"state": "running", "seconds": 0, "commands": {}})

    def add(self, step: str, outcome: Outcome) -> None:
        """Add the results of a command, complete or not."""
        end = "" if outcome.ok else outcome.last_lines()
        self.step(step)["commands"][outcome.label] = {"status": outcome.status, "seconds": outcome.seconds, "end": end}
        for result in outcome.results():
            if "row" in result:
                self.add_row(result["row"])
            elif "smoke" in result:
                self.results["smoke"].append(result["smoke"])
            elif "environment" in result:
                self.results["environment"] |= result["environment"]

    def add_row(self, row: dict[str, Any]) -> None:
        """Merge into the row of the same cell: quantities arrive one by one."""
        for known in self.results["rows"]:
            if all(known[name] == row[name] for name in CELL):
                errors = known.get("errors", {}) | row.get("errors", {})
                known |= row
                if errors:
                    known["errors"] = errors
                return
        self.results["rows"].append(dict(row))

    def write(self) -> None:
        _replace(self.folder / "report.json", json.dumps(self.results, indent=1) + "\n")
        _replace(self.folder / "report.md", _shown(self.results))

    def draw(self) -> None:
        """Draw the figure. A failure, such as a missing matplotlib, is logged and ignored."""
        try:
            from benchmarks.gpu_report.figure import draw

            draw(self.results, self.folder / "speed.png")
        except Exception:
            with (self.folder / "checks.txt").open("a") as log:
                log.write(f"\nspeed.png:\n{traceback.format_exc()}")


def _shown(results: dict[str, Any]) -> str:
    """A bug of the tables must not lose the results."""
    try:
        return markdown(results)
    except Exception:
        return f"report.json holds the results; the tables failed:\n\n```\n{traceback.format_exc()}```\n"


def _replace(path: Path, text: str) -> None:
    """Write atomically."""
    beside = path.with_suffix(path.suffix + ".new")
    beside.write_text(text)
    beside.replace(path)


def join(reports: Iterable[Path]) -> dict[str, Any]:
    """Merge the results of several runs on one machine; of repeated steps the last one counts."""
    joined: dict[str, Any] | None = None
    for folder in reports:
        results = json.loads((folder / "report.json").read_text())
        if joined is None:
            joined = results
            continue
        for fact in ("gpu", "revision", "torch"):
            one, other = (part["environment"].get(fact) for part in (joined, results))
            if one != other:
                raise ValueError(f"{folder}: expected a report of the same {fact} as the first, {one}; got {other}")
        joined["environment"] |= results["environment"]
        joined["steps"] |= results["steps"]
        joined["smoke"] += results["smoke"]
        joined["rows"] += results["rows"]
    if joined is None:
        raise ValueError("expected at least one folder with a report.json")
    return joined
