"""Parallel work in threads: OpenCV releases the interpreter lock while it works."""

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
    """Applies `function` to every item with `workers` threads, in order; holds at most four items per thread at once."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[R]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class SharedDetector:
    """A detector that any number of threads may call: each thread has its own instance."""

    def __init__(self, yunet: Path | None):
        self._local, self._yunet = threading.local(), yunet
        self.name, self.points = self._own().name, self._own().points

    def _own(self) -> Detector:
        if not hasattr(self._local, "detector"):
            self._local.detector = make_detector(self._yunet)
        return self._local.detector

    def __call__(self, image: RGBImage) -> list[Face]:
        return self._own()(image)
