"""Pictures and frames of videos, wherever they come from, as RGB arrays."""

import os
import re
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.data.images import IMAGE_SUFFIXES, RGBImage

# Of containers that store how many frames they have. The others store how long they are, with the sound.
_COUNTED = (".avi", ".mp4", ".mov", ".m4v")
VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".mpg", ".mpeg", ".wmv", ".webm", ".m4v")


class Frame(NamedTuple):
    """number: counted from 0; time: seconds from the start of the video, 0 of a picture."""

    number: int
    time: float
    image: RGBImage


class Files(NamedTuple):
    """Pictures, videos and other files below a folder, in the order of their names; numbers in them count as numbers."""

    pictures: list[Path]
    videos: list[Path]
    others: list[Path]


def files_below(path: Path) -> Files:
    """What lies below a folder, but for hidden files, or what kind of file `path` is. FileNotFoundError if there is nothing.

    Links to folders are followed, and links to nothing are files, which cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    paths = [path] if path.is_file() else sorted(_visible_below(path), key=natural)
    kinds: dict[str, list[Path]] = {"pictures": [], "videos": [], "others": []}
    for file in paths:
        suffix = file.suffix.lower()
        kind = "pictures" if suffix in IMAGE_SUFFIXES else "videos" if suffix in VIDEO_SUFFIXES else "others"
        kinds[kind].append(file)
    return Files(**kinds)


def _visible_below(top: Path) -> Iterator[Path]:
    """The files below a folder whose path below it is not hidden. OSError for a folder that cannot be read."""
    inside, entered = os.path.realpath(top), {os.path.realpath(top)}

    def fail(error: OSError) -> NoReturn:
        raise error

    for folder, folders, names in os.walk(top, onerror=fail, followlinks=True):
        not_entered_yet = []
        for place in (Path(folder, name) for name in folders if not name.startswith(".")):
            real = os.path.realpath(place)
            # A link into the folder shows what is there anyway, and may lead in a circle, as one may outside of it.
            if real not in entered and not (place.is_symlink() and Path(real).is_relative_to(inside)):
                not_entered_yet.append(place.name)
                entered.add(real)
        folders[:] = not_entered_yet
        # macOS writes a ._face.jpg beside each face.jpg on disks of other systems: it is no picture.
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            if path.is_file() or path.is_symlink():
                yield path


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorts a/2.jpg before a/10.jpg."""
    parts = re.split("([0-9]+)", path.as_posix())
    return tuple((1, int(part), part) if place % 2 else (0, 0, part) for place, part in enumerate(parts))


def write_image(path: Path, image: RGBImage, quality: int = 95) -> None:
    """Write RGB as a file of the kind that its name says; it is there as a whole or not at all. quality: of .jpg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    good, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not good:
        raise ValueError(f"cannot encode {path} as {path.suffix}")
    part = path.with_name(path.name + ".part")
    part.write_bytes(data.tobytes())
    part.replace(path)


class FreeNames:
    """File names that were not given before: of two pictures of one name, the second is called <name>_1."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, stem: str, suffix: str) -> str:
        name, count = stem + suffix, 1
        while name in self._taken:
            name, count = f"{stem}_{count}{suffix}", count + 1
        self._taken.add(name)
        return name


class Video:
    """The frames of a video file, or of a camera by its number, one at a time.

    fps: frames a second; frames: how many there are; 0 where the container does not say. ValueError if it cannot be opened,
    or, after its last frame, if the container has announced more.
    """

    def __init__(self, source: Path | int):
        if isinstance(source, Path) and source.is_file() and source.stat().st_size == 0:
            raise ValueError("the file is empty")
        self.camera = isinstance(source, int)
        # A name such as take:1.avi would be taken for an address, unless a folder stands before it.
        self.capture = cv2.VideoCapture(source if isinstance(source, int) else str(source.absolute()))
        if not self.capture.isOpened():
            raise ValueError("cannot be opened as a camera" if self.camera else "cannot be opened as a video")
        self.fps = float(self.capture.get(cv2.CAP_PROP_FPS))
        known = self.fps > 0 and not self.camera
        self.frames = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))) if known else 0
        self._counted = isinstance(source, Path) and source.suffix.lower() in _COUNTED

    def __iter__(self) -> Iterator[Frame]:
        start, number, last = time.monotonic(), 0, 0.0
        times = array("d")
        try:
            while True:
                good, image = self.capture.read()
                if not good:
                    break
                # The time of a frame is the container's, which need not be even; a camera has none.
                stamp = time.monotonic() - start if self.camera else self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                last = stamp if stamp >= last else last
                if self.frames:
                    times.append(last)
                yield Frame(number, last, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))  # type: ignore[arg-type]
                number += 1
            if self.frames:
                self._refuse_short(np.array(times))
        finally:
            self.capture.release()

    def _refuse_short(self, times: NDArray[np.float64]) -> None:
        """ValueError if frames, which were read at these times [n], are missing."""
        gaps = np.diff(times)
        # Of an uneven video the rate, and so the number of frames, is a guess.
        even = len(gaps) == 0 or abs(np.median(gaps) - 1 / self.fps) < max(0.1 / self.fps, 0.001)
        # The sound may go on after the last picture.
        fewest = self.frames if self._counted else 0.9 * self.frames
        if (self._counted or even) and len(times) < fewest:
            raise ValueError(f"only {len(times)} of {self.frames} frames could be read")
        duration = self.frames / self.fps
        if not self._counted and times[-1] + gaps.max(initial=0) < 0.9 * duration:
            raise ValueError(f"ends after {times[-1]:.1f} of {duration:.1f} seconds")
