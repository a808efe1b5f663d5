"""MMI: expressions from neutral to the apex and back, in sessions described by XML."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

from sma_models.data.databases.base import Database
from sma_models.data.manifest import DatabaseIndex, Sample, folder, images_by_number, read_pairs, set_folds, visible

# As in one public reader; `codes` overrides them.
CODES = {"1": "anger", "2": "disgust", "3": "fear", "4": "happiness", "5": "sadness", "6": "surprise"}
VIEWS = {0: "frontal", 1: "profile", 2: "both in one image"}
APEX_FRAMES = 3


def index_mmi(
    root: Path,
    images: Path | None = None,
    views: list[int] | None = None,
    codes: dict[str, str] | None = None,
    subjects: Path | None = None,
    folds: Path | None = None,
) -> DatabaseIndex:
    """Three frames around the middle of every session of MMI with one of the emotions.

    Args:
        root:     folder that contains Sessions/<id>/session.xml
        images:   folder that contains the stills, Sessions/<id>/... or Sessions/<id>/<name of the video>/...; None means `root`
        views:    the views to use: 0 frontal, 1 profile, 2 both in one image; None means 0
        codes:    meaning of the values of the metatag Emotion, instead of ours
        subjects: CSV of session,subject; by default the subject is the S001 in a media file's name, such as S001-001.avi
        folds:    CSV of subject,fold to use instead of our ten folds
    """
    used = sorted(set(views)) if views is not None else [0]
    if not used or set(used) - set(VIEWS):
        raise ValueError(f"views: expected some of 0, 1 and 2; got {views}")
    # YAML reads the codes as numbers.
    meaning = {str(code): name for code, name in (codes or CODES).items()}
    index = DatabaseIndex("mmi", Path(images or root), {"views": used, "codes": meaning})
    names = read_pairs(subjects, ("session", "subject")) if subjects else None
    left_out: Counter[str] = Counter()
    for path in visible(folder(Path(root) / "Sessions", "<id>/session.xml")):
        if not (path / "session.xml").is_file():
            index.extra.append(str(path))
            continue
        try:
            emotion = read_emotion(path)
            if emotion is None:
                # Most sessions show single action units.
                left_out["no Emotion"] += 1
            elif emotion not in meaning:
                left_out[f"Emotion {emotion}"] += 1
            else:
                view, media = read_track(path / "session.xml")
                if view in used:
                    _add_session(index, path.name, media, meaning[emotion], names)
                else:
                    left_out[f"view {view} ({VIEWS[view]})"] += 1
        except ValueError as error:
            # One broken session does not affect the others.
            index.left_out.append(str(error))
    index.settings["left out"] = dict(sorted(left_out.items()))
    if not index.samples:
        raise ValueError(
            f"{root}: no session has both an image and one of the emotions {meaning}: left out {dict(left_out)}; "
            f"{'; '.join(index.warnings())}"
        )
    set_folds(index, 10, folds)
    return index


def read_emotion(session: Path) -> str | None:
    """The value of the metatag Emotion in a session's XML files, or None. ValueError if they differ."""
    values = {
        tag.get("Value", "").strip()
        for file in visible(session, "*.xml")
        for tag in _parse(file).iter("Metatag")
        if tag.get("Name") == "Emotion"
    }
    if len(values) > 1:
        raise ValueError(f"{session}: expected one Emotion; got {', '.join(sorted(values))}")
    return values.pop() if values else None


def read_track(path: Path) -> tuple[int, str]:
    """View and name of the media file of a session. ValueError unless there is one track with a known view."""
    tracks = list(_parse(path).iter("track"))
    if len(tracks) != 1:
        raise ValueError(f"{path}: expected one track; got {len(tracks)}")
    view, media = tracks[0].get("view", ""), tracks[0].get("filename", "")
    if view not in map(str, VIEWS) or not media:
        raise ValueError(f"{path}: expected a track with a filename and a view of 0, 1 or 2; got {tracks[0].attrib}")
    return int(view), media


def _parse(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()
    except (ET.ParseError, LookupError, OSError, ValueError) as error:
        # LookupError and ValueError come from encodings that are unknown or wrong.
        raise ValueError(f"{path} is not valid XML: {error}") from error


def _add_session(index: DatabaseIndex, session: str, media: str, emotion: str, names: dict[str, str] | None) -> None:
    match = re.match(r"(S\d+)-", media)
    subject = match[1] if names is None and match else (names or {}).get(session)
    if subject is None:
        source = "the CSV of subjects" if names is not None else f"its media file {media!r} (expected S001-...)"
        raise ValueError(f"session {session}: {source} names no subject")
    session_folder = index.images / "Sessions" / session
    stills = session_folder / Path(media).stem
    path = stills if stills.is_dir() else session_folder
    # Other files of a session (its XML, its video) are expected.
    images = images_by_number(path, []) if path.is_dir() else {}
    if not images:
        index.missing.append(f"{session}/{media} (`sma-net align` extracts images from videos)")
        return
    start = max(0, (len(images) - APEX_FRAMES) // 2)
    for frame, image in list(images.items())[start : start + APEX_FRAMES]:
        index.samples.append(Sample(image, subject, session, frame, emotion))


class MMI(Database):
    """MMI's six expressions in ten folds, "0" to "9".

    Args:
        manifest: CSV file that `sma-net data check --dataset mmi` wrote
        settings: see `Database`
    """

    dataset = "mmi"

    def __init__(self, manifest: str | Path, fold: str = "0", **settings: Any):
        super().__init__(manifest, fold, **settings)
