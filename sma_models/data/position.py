"""Where a training is among its samples, so that a run that goes on shows none twice and leaves none out."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Position:
    """How far a training has come, and what the order of its samples follows from.

    epoch:      the epoch that is under way, or the one that is to begin
    samples:    how many samples of it all processes together have behind them
    batch_size, processes: how its samples are divided
    seed:       of parts, order and augmentation
    faces:      a digest of the training and validation parts
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
        """The position `stored` of a checkpoint, for a training whose start is `self`.

        ValueError if its samples are others, or if they are divided in another way within an epoch.
        """
        # Between epochs the samples may be divided anew: the next one shows each of them all the same.
        divided = ["batch_size", "processes"] if stored.get("samples") else []
        differing = [name for name in ("seed", "faces", *divided) if stored.get(name) != getattr(self, name)]
        if differing:
            raise ValueError(
                "a run goes on with the samples that it was begun with; the checkpoint has "
                f"{_named(stored, differing)}, these settings {_named(self.as_dict(), differing)}: expected the same, or a "
                "new run with --model.init_from"
            )
        return Position(**{field.name: stored[field.name] for field in fields(self)})


def _named(values: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {values.get(name)}" for name in names)


def digest(columns: Iterable[NDArray[Any]]) -> str:
    """Eight hexadecimal digits that follow from the values of some arrays, in their order."""
    content = hashlib.sha256()
    for column in columns:
        content.update(repr(column.tolist()).encode())
    return content.hexdigest()[:8]
