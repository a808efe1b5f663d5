"""Work shared out to threads: OpenCV lets go of the interpreter while it works."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sma_models.data.images import RGBImage
from sma_models.faces.detect import Detector, Face, make_detector

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """`function` of every item, in order, with `workers` threads; no more than four items a thread are held at once."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class SharedDetector:
    """A detector that any number of threads may call: each has its own."""

    def __init__(self, yunet: Path | None):
        self._local, self._yunet = threading.local(), yunet
        self.name, self.points = self._own().name, self._own().points

    def _own(self) -> Detector:
        if not hasattr(self._local, "detector"):
            self._local.detector = make_detector(self._yunet)
        return self._local.detector

    def __call__(self, image: RGBImage) -> list[Face]:
        return self._own()(image)
