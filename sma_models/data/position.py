"""The position of a run among its training samples, so that a resumed run neither repeats nor skips any."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Position:
    """How far a training run has come, and what determines the order of its samples.

    epoch:      the epoch in progress, or the next one
    samples:    samples of this epoch that all processes together have finished
    batch_size, processes: how the samples are divided
    seed:       of splits, order and augmentation
    faces:      a digest of the training and validation splits
    """

    epoch: int
    samples: int
    batch_size: int
    processes: int
    seed: int
    faces: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def resume(self, stored: Mapping[str, Any]) -> "Position":
        """The position `stored` in a checkpoint, for a run that starts at `self`.

        Raises ValueError if the samples differ, or are divided differently within an epoch.
        """
        # Between epochs the division may change: the next epoch still shows every sample.
        divided = ["batch_size", "processes"] if stored.get("samples") else []
        differing = [name for name in ("seed", "faces", *divided) if stored.get(name) != getattr(self, name)]
        if differing:
            raise ValueError(
                "a resumed run needs the samples that it was started with; the checkpoint has "
                f"{_named(stored, differing)}, these settings {_named(self.as_dict(), differing)}: expected the same, or a "
                "new run with --model.init_from"
            )
        return Position(**{field.name: stored[field.name] for field in fields(self)})


def _named(values: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {values.get(name)}" for name in names)


def digest(columns: Iterable[NDArray[Any]]) -> str:
    """Eight hexadecimal digits of a hash over the values of the arrays, in order."""
    content = hashlib.sha256()
    for column in columns:
        content.update(repr(column.tolist()).encode())
    return content.hexdigest()[:8]
