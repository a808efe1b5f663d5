"""Names of earlier versions in settings: they still work for one version, with a warning."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

PARSER_MODE = "sma_yaml"
_TASKS = ("ActionUnitTask", "ExpressionTask", "FaceTask")
_DATABASES = {
    "bp4d": "BP4D",
    "bp4dplus": "BP4DPlus",
    "bu3dfe": "BU3DFE",
    "ckplus": "CKPlus",
    "disfa": "DISFA",
    "mmi": "MMI",
}
CLASSES = {
    "sma_models.checkpoint_files.SafeCheckpoints": "sma_models.models.checkpoint_io.AtomicCheckpointIO",
    **{f"sma_models.task.{name}": f"sma_models.training.task.{name}" for name in _TASKS},
    **{f"sma_models.data.{file}.{name}": f"sma_models.data.{name}" for file, name in _DATABASES.items()},
    **{
        f"sma_models.cli.callbacks.{name}": f"sma_models.training.callbacks.{name}"
        for name in ("SelectedEpoch", "LastEpoch")
    },
    "sma_models.cli.lightning.ScoreReport": "sma_models.cli.score_report.ScoreReport",
}
# Old option: its new name, and the new values of those that have changed.
OPTIONS: dict[str, tuple[str, dict[Any, Any]]] = {"backbone_weights": ("pretrained", {"none": False, "timm": True})}
_OPTION = re.compile(rf"(--(?:[\w.]+\.)?)({'|'.join(OPTIONS)})(?:=(.*))?", re.DOTALL)
_LINE = re.compile(r"([\s-]*)(\w+)(: )(\S+)(\s*)")


def current_settings(settings: Any) -> Any:
    """Parsed YAML with the current names of classes and options."""
    if isinstance(settings, dict):
        return dict(_current_item(name, value) for name, value in settings.items())
    if isinstance(settings, list):
        return [current_settings(value) for value in settings]
    return _current_class(settings)


def current_arguments(arguments: Sequence[str]) -> list[str]:
    """Command-line arguments with the current names of classes and options."""
    current: list[str] = []
    values: dict[Any, Any] = {}  # of the option before, if its value is an argument of its own
    for argument in arguments:
        option = _OPTION.fullmatch(argument)
        if option is None:
            name, equals, value = argument.rpartition("=")
            current.append(f"{name}{equals}{_current_class(_text(values.get(value, value)))}")
            values = {}
            continue
        new, values = OPTIONS[option[2]]
        _warn(option[2], new)
        value = option[3]
        current.append(f"{option[1]}{new}" if value is None else f"{option[1]}{new}={_text(values.get(value, value))}")
        values = values if value is None else {}
    return current


def rename_in_file(path: Path) -> None:
    """Rewrite a settings file that an earlier version wrote, one setting per line, with the current names."""
    if path.is_file():
        lines = [_current_line(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
        path.write_text("".join(lines), encoding="utf-8")


def _current_line(line: str) -> str:
    setting = _LINE.fullmatch(line)
    if setting is None:
        return line
    name, value = _current_item(setting[2], setting[4])
    return f"{setting[1]}{name}{setting[3]}{_text(value)}{setting[5]}"


def register_parser_mode() -> None:
    """Make `PARSER_MODE` available to jsonargparse: YAML, read with the current names."""
    load = get_loader("yaml")
    set_loader(PARSER_MODE, lambda text: current_settings(load(text)), (yaml.YAMLError,))


def _current_item(name: Any, value: Any) -> tuple[Any, Any]:
    if name not in OPTIONS:
        return name, current_settings(value)
    new, values = OPTIONS[name]
    _warn(name, new)
    return new, values.get(value, value)


def _current_class(value: Any) -> Any:
    if not isinstance(value, str) or value not in CLASSES:
        return value
    _warn(value, CLASSES[value])
    return CLASSES[value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_warned: set[str] = set()


def _warn(old: str, new: str) -> None:
    """Once per name: jsonargparse reads a file several times."""
    if old not in _warned:
        _warned.add(old)
        warnings.warn(
            f"{old} in the settings is now called {new}; the old name works for one more version", stacklevel=2
        )
