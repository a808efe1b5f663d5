"""Small copies of the databases in their original layouts, written by the tests."""

from pathlib import Path

import cv2
import numpy as np

from sma_models.data.manifest import write_manifest

BP4D_UNITS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
DISFA_CODED = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


def loaded(module, index, path, **settings):
    """A data module over the manifest of an index, set up."""
    write_manifest(index, path)
    data = module(path, **settings)
    data.setup("fit")
    return data


def hide(root):
    """Adds a hidden file for each file and folder below `root`, as macOS does."""
    for path in sorted(root.rglob("*")):
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7\xff")
        (path.parent / ".DS_Store").write_bytes(b"\0\xff")


def write_image(path, value=100, size=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size, size, 3), value, np.uint8)
    image[: size // 2, : size // 2] = 255 - value
    cv2.imwrite(str(path), image)


def write_coding(path, rows, units=BP4D_UNITS):
    """rows: {frame: {unit: 0, 1 or 9}}; missing units are 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(str, (0, *units)))]
    lines += [",".join(map(str, (frame, *(cells.get(unit, 0) for unit in units)))) for frame, cells in rows.items()]
    path.write_text("\n".join(lines) + "\n")


def write_bp4d(root, subjects=("F001", "F002", "F003", "F005", "F004", "F006"), frames=4, padding=4):
    """Every subject shows every action unit in odd frames, whose images are brighter."""
    for subject in subjects:
        rows = {n: dict.fromkeys(BP4D_UNITS, n % 2) for n in range(20, 20 + frames)}
        write_coding(root / "AUCoding" / "AU_OCC" / f"{subject}_T1.csv", rows)
        for n in rows:
            write_image(root / subject / "T1" / f"{n:0{padding}d}.jpg", 40 + 150 * (n % 2))


def write_disfa(root, subjects=(1, 2, 6, 11, 3, 4), frames=4, pattern="{subject}/{n}.png", base=0, level=None):
    """level(unit, n): intensity in frame n, counted from 1; by default, odd frames show all units."""
    level = level or (lambda unit, n: 3 * (n % 2))
    for subject in (f"SN{number:03d}" for number in subjects):
        folder = root / "ActionUnit_Labels" / subject
        folder.mkdir(parents=True, exist_ok=True)
        for unit in DISFA_CODED:
            lines = [f"{n},{level(unit, n)}\n" for n in range(1, frames + 1)]
            (folder / f"{subject}_au{unit}.txt").write_text("".join(lines))
        for n in range(frames):
            write_image(root / pattern.format(subject=subject, n=n + base), 40 + 150 * ((n + 1) % 2))


def write_ckplus(root, sequences, images=5):
    """sequences: {(subject number, sequence number): emotion code, or None for an unlabelled one}."""
    for (person, number), code in sequences.items():
        sequence, stem = Path(f"S{person:03d}") / f"{number:03d}", f"S{person:03d}_{number:03d}"
        for n in range(1, images + 1):
            write_image(root / "cohn-kanade-images" / sequence / f"{stem}_{n:08d}.png", 30 * (code or 0) + n)
        for kind in ("Emotion", "FACS"):
            (root / kind / sequence).mkdir(parents=True, exist_ok=True)
        if code is not None:
            (root / "Emotion" / sequence / f"{stem}_{images:08d}_emotion.txt").write_text(f"   {code:.7e}\n")
        rows = "   1.0000000e+00   0.0000000e+00\n   1.2000000e+01   4.0000000e+00\n"
        (root / "FACS" / sequence / f"{stem}_{images:08d}_facs.txt").write_text(rows)


def write_mmi(root, sessions, images=7):
    """sessions: {id: (name of the media file, view, Emotion or None)}."""
    for session, (media, view, emotion) in sessions.items():
        folder = root / "Sessions" / session
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "session.xml").write_text(
            f'<?xml version="1.0"?><session sessionId="{session}"><track filename="{media}" view="{view}"/></session>'
        )
        tag = f'<Metatag Name="Emotion" Value="{emotion}"/>' if emotion is not None else ""
        text = f'<Annotation><Metatag Name="Other" Value="9"/>{tag}</Annotation>'
        (folder / f"{Path(media).stem}.xml").write_text(text)
        for n in range(1, images + 1):
            write_image(folder / f"{Path(media).stem}-{n:04d}.jpg", 20 * n)


def write_bu3dfe(root, subjects=("F0001", "F0002", "M0001"), ethnicity="WH"):
    levels = [f"{code}{level:02d}" for code in ("AN", "DI", "FE", "HA", "SA", "SU") for level in range(1, 5)]
    for subject in subjects:
        for name in (*levels, "NE00"):
            for kind in ("F2D", "F3D"):
                write_image(root / subject / f"{subject}_{name}{ethnicity}_{kind}.bmp", 80, size=8)


def write_bp4dplus(root, subjects=("F001", "F003", "M001"), frames=30, base=1):
    """Four coded frames of four tasks; frame 1 of each of the ten is image `base`."""
    # Columns other than BP4D's, in a different order.
    units = (1, 2, 4, 5, 6, 7, 9, *BP4D_UNITS[5:], 27)
    for subject in subjects:
        for number in range(1, 11):
            for n in range(base, frames + base):
                write_image(root / subject / f"T{number}" / f"{n:05d}.jpg", 20 * number, size=8)
        for task in ("T1", "T6", "T7", "T8"):
            rows = {n: dict.fromkeys(BP4D_UNITS, n % 2) for n in range(5, 9)}
            write_coding(root / "AUCoding" / "AU_OCC" / f"{subject}_{task}.csv", rows, units)
