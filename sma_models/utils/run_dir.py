"""Binds a folder of results to the settings that it was created with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

SETTINGS = "settings.yaml"
LOG = "metrics.csv"  # one row per logged step, in every folder of a training run


def check_same_settings(out: Path, settings: str, current: Callable[[Any], Any]) -> None:
    """Store the settings in the folder; ValueError if it was created with different ones.

    settings: YAML, compared including its comments
    current:  converts parsed settings from the folder to the names of this version
    """
    path = out / SETTINGS
    if path.is_file() and not _same(path.read_text(encoding="utf-8"), settings, current):
        raise ValueError(
            f"{out} was created with different settings or faces (see {path}); use the same ones or another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(settings, encoding="utf-8")


def _same(stored: str, settings: str, current: Callable[[Any], Any]) -> bool:
    try:
        values = current(yaml.safe_load(stored))
    except yaml.YAMLError:
        return False
    # Compared as text, since in Python True equals 1, and NaN does not equal itself.
    same_values = yaml.safe_dump(values) == yaml.safe_dump(yaml.safe_load(settings))
    return same_values and _comments(stored) == _comments(settings)


def _comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]
