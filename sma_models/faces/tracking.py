"""Tracks faces across the frames of a video, and smooths their values."""

import math
from collections.abc import Sequence

Box = tuple[float, float, float, float]
LOST_AFTER = 1.0  # seconds
_MIN_OVERLAP = 0.3


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def _lost(seen: float, now: float) -> bool:
    # Rounded, so that one second is one second anywhere in a video: in floating point 2.2 - 1.2 exceeds 1.
    return round(now - seen, 6) > LOST_AFTER


class Tracker:
    """Numbers faces: a box that overlaps one from at most a second ago is the same face."""

    def __init__(self) -> None:
        self._next = 0
        self._seen: dict[int, tuple[Box, float]] = {}

    def __call__(self, boxes: Sequence[Box], time: float) -> list[int]:
        """The number of each box of the next frame, `time` seconds from the start."""
        self._seen = {face: (box, at) for face, (box, at) in self._seen.items() if not _lost(at, time)}
        pairs = sorted(
            (
                (overlap(box, old), index, face)
                for index, box in enumerate(boxes)
                for face, (old, _) in self._seen.items()
            ),
            key=lambda pair: (-pair[0], pair[1], pair[2]),
        )
        numbers: dict[int, int] = {}
        for iou, index, face in pairs:
            if iou >= _MIN_OVERLAP and index not in numbers and face not in numbers.values():
                numbers[index] = face
        for index in range(len(boxes)):
            if index not in numbers:
                numbers[index] = self._next
                self._next += 1
        self._seen |= {numbers[index]: (box, time) for index, box in enumerate(boxes)}
        return [numbers[index] for index in range(len(boxes))]


class Smoother:
    """Exponential moving averages per face, with a time constant in seconds; time steps may be uneven."""

    def __init__(self, seconds: float):
        if not seconds > 0:
            raise ValueError(f"smoothing must be above 0 seconds; got {seconds}")
        self._seconds = seconds
        self._state: dict[int, tuple[list[float], float]] = {}

    def __call__(self, face: int, values: list[float], time: float) -> list[float]:
        """The average of a face's values so far; a face that was lost for more than a second starts afresh."""
        self._state = {key: state for key, state in self._state.items() if not _lost(state[1], time)}
        if face in self._state:
            old, at = self._state[face]
            weight = 1 - math.exp(-max(0.0, time - at) / self._seconds)
            values = [before + weight * (now - before) for before, now in zip(old, values, strict=True)]
        self._state[face] = values, time
        return values
