"""Images and video frames from files, folders and cameras, as RGB arrays."""

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

# Containers that store the number of frames. Others store only the duration, sound included.
_COUNTED = (".avi", ".mp4", ".mov", ".m4v")
VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".mpg", ".mpeg", ".wmv", ".webm", ".m4v")


class Frame(NamedTuple):
    """number: counted from 0; time: seconds from the start of the video, 0 for an image."""

    number: int
    time: float
    image: RGBImage


class Files(NamedTuple):
    """Images, videos and other files below a folder, in natural order of their names (a/2 before a/10)."""

    images: list[Path]
    videos: list[Path]
    others: list[Path]


def files_below(path: Path) -> Files:
    """The files below a folder, without hidden ones, or `path` itself, by kind. Raises FileNotFoundError if it does not exist.

    Links to folders are followed; broken links count as files, which cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    paths = [path] if path.is_file() else sorted(_visible_below(path), key=natural_key)
    kinds: dict[str, list[Path]] = {"images": [], "videos": [], "others": []}
    for file in paths:
        suffix = file.suffix.lower()
        kind = "images" if suffix in IMAGE_SUFFIXES else "videos" if suffix in VIDEO_SUFFIXES else "others"
        kinds[kind].append(file)
    return Files(**kinds)


def _visible_below(top: Path) -> Iterator[Path]:
    """The files below a folder whose relative path is not hidden. Raises OSError for a folder that cannot be read."""
    inside, entered = os.path.realpath(top), {os.path.realpath(top)}

    def fail(error: OSError) -> NoReturn:
        raise error

    for folder, folders, names in os.walk(top, onerror=fail, followlinks=True):
        new_folders = []
        for subfolder in (Path(folder, name) for name in folders if not name.startswith(".")):
            real = os.path.realpath(subfolder)
            # A link into the folder adds nothing, and any link may form a cycle.
            if real not in entered and not (subfolder.is_symlink() and Path(real).is_relative_to(inside)):
                new_folders.append(subfolder.name)
                entered.add(real)
        folders[:] = new_folders
        # macOS writes a ._face.jpg next to each face.jpg on foreign disks, which is not an image.
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            if path.is_file() or path.is_symlink():
                yield path


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts a/2.jpg before a/10.jpg."""
    parts = re.split("([0-9]+)", path.as_posix())
    return tuple((1, int(part), part) if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def write_image(path: Path, image: RGBImage, quality: int = 95) -> None:
    """Writes an RGB image in the format of the suffix, atomically. quality: of JPEG, 0 to 100."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    encoded, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not encoded:
        raise ValueError(f"cannot encode {path} as {path.suffix}")
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(data.tobytes())
    unfinished.replace(path)


class UniqueNames:
    """Unique file names: the second image with the same name becomes <name>_1."""

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

    fps: frames per second; frames: number of frames; both 0 if the container does not state them. Raises ValueError if the
    source cannot be opened, or after its last frame if the container announced more.
    """

    def __init__(self, source: Path | int):
        if isinstance(source, Path) and source.is_file() and source.stat().st_size == 0:
            raise ValueError("the file is empty")
        self.camera = isinstance(source, int)
        # A name such as take:1.avi would be read as a URL unless a folder precedes it.
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
                success, image = self.capture.read()
                if not success:
                    break
                # Time stamps come from the container, and may be uneven; a camera has none.
                stamp = time.monotonic() - start if self.camera else self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                last = stamp if stamp >= last else last
                if self.frames:
                    times.append(last)
                yield Frame(number, last, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))  # type: ignore[arg-type]
                number += 1
            if self.frames:
                self._check_complete(np.array(times))
        finally:
            self.capture.release()

    def _check_complete(self, times: NDArray[np.float64]) -> None:
        """Raises ValueError if frames are missing, given the time stamps [n] of those that were read."""
        gaps = np.diff(times)
        # In an uneven video the rate, and hence the number of frames, is an estimate.
        even = len(gaps) == 0 or abs(np.median(gaps) - 1 / self.fps) < max(0.1 / self.fps, 0.001)
        # Sound may continue after the last image.
        fewest = self.frames if self._counted else 0.9 * self.frames
        if (self._counted or even) and len(times) < fewest:
            raise ValueError(f"only {len(times)} of {self.frames} frames could be read")
        duration = self.frames / self.fps
        if not self._counted and times[-1] + gaps.max(initial=0) < 0.9 * duration:
            raise ValueError(f"ends after {times[-1]:.1f} of {duration:.1f} seconds")
