"""MMI: expressions from neutral to the apex and back, in sessions described by XML."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

from sma_models.data.databases.base import Database
from sma_models.data.manifest import DatabaseIndex, Sample, folder, folds_of, pictures_by_number, read_pairs, visible

# As one public reader has them: `codes` replaces them.
CODES = {"1": "anger", "2": "disgust", "3": "fear", "4": "happiness", "5": "sadness", "6": "surprise"}
VIEWS = {0: "frontal", 1: "profile", 2: "both in one picture"}
APEX_FRAMES = 3


def list_mmi(
    root: Path,
    images: Path | None = None,
    views: list[int] | None = None,
    codes: dict[str, str] | None = None,
    subjects: Path | None = None,
    folds: Path | None = None,
) -> DatabaseIndex:
    """Three frames round the middle of every session of MMI that has one of the emotions.

    Args:
        root:     folder that holds Sessions/<id>/session.xml
        images:   folder that holds the stills, Sessions/<id>/... or Sessions/<id>/<name of the video>/...; None is `root`
        views:    of 0 frontal, 1 profile, 2 both in one picture; None is 0
        codes:    values of the metatag Emotion and what they mean, instead of ours
        subjects: CSV of session,subject instead of the S001 before the dash in the name of the media file
        folds:    CSV of subject,fold instead of our ten folds
    """
    used = sorted(set(views)) if views is not None else [0]
    if not used or set(used) - set(VIEWS):
        raise ValueError(f"views: expected some of 0, 1 and 2; got {views}")
    # A number is one in YAML.
    meaning = {str(code): name for code, name in (codes or CODES).items()}
    listing = DatabaseIndex("mmi", Path(images or root), {"views": used, "codes": meaning})
    names = read_pairs(subjects, ("session", "subject")) if subjects else None
    left_out: Counter[str] = Counter()
    for path in visible(folder(Path(root) / "Sessions", "<id>/session.xml")):
        if not (path / "session.xml").is_file():
            listing.extra.append(str(path))
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
                    _add_session(listing, path.name, media, meaning[emotion], names)
                else:
                    left_out[f"view {view} ({VIEWS[view]})"] += 1
        except ValueError as error:
            # One odd session says nothing of the others.
            listing.left_out.append(str(error))
    listing.settings["left out"] = dict(sorted(left_out.items()))
    if not listing.samples:
        raise ValueError(
            f"{root}: no session has a picture and one of the emotions {meaning}: left out {dict(left_out)}; "
            f"{'; '.join(listing.warnings())}"
        )
    folds_of(listing, 10, folds)
    return listing


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
        # LookupError and ValueError are of encodings that are unknown, or are not what the file is in.
        raise ValueError(f"{path} is no XML: {error}") from error


def _add_session(listing: DatabaseIndex, session: str, media: str, emotion: str, names: dict[str, str] | None) -> None:
    found = re.match(r"(S\d+)-", media)
    subject = found[1] if names is None and found else (names or {}).get(session)
    if subject is None:
        where = "the CSV of subjects" if names is not None else f"its media file {media!r} (expected S001-...)"
        raise ValueError(f"session {session}: {where} names no subject")
    place = listing.images / "Sessions" / session
    stills = place / Path(media).stem
    path = stills if stills.is_dir() else place
    # What lies beside stills in a session (its XML, its video) is no surprise.
    pictures = pictures_by_number(path, []) if path.is_dir() else {}
    if not pictures:
        listing.missing.append(f"{session}/{media} (pictures are made of videos by `sma-net align`)")
        return
    start = max(0, (len(pictures) - APEX_FRAMES) // 2)
    for frame, picture in list(pictures.items())[start : start + APEX_FRAMES]:
        listing.samples.append(Sample(picture, subject, session, frame, emotion))


class MMI(Database):
    """MMI's six expressions in ten folds, "0" to "9".

    Args:
        manifest: CSV file that `sma-net data check --dataset mmi` wrote
        settings: see `Database`
    """

    dataset = "mmi"

    def __init__(self, manifest: str | Path, fold: str = "0", **settings: Any):
        super().__init__(manifest, fold, **settings)
