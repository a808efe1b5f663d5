"""Mutants of the detection, alignment, tracking and prediction of faces."""

from tests.mutants.mutant import Mutant, models

FACES = "tests/faces/test_detection.py"
ALIGN = "tests/faces/test_align.py"
CROPS = "tests/faces/test_crops.py"
SIZES = "tests/faces/test_image_sizes.py"
SESSIONS = "tests/faces/test_align_databases.py"
YUNET = "tests/faces/test_yunet.py"
PREDICT = "tests/faces/test_predict.py"
SOURCES = "tests/faces/test_sources.py"
MEMORY = "tests/faces/test_prediction_memory.py"
OPENCV5 = "tests/faces/test_opencv5.py"


def images(old: str, new: str, *tests: str) -> Mutant:
    return Mutant("sma_models/data/images.py", old, new, tests)


MUTANTS = [
    # Alignment: position and scale of the template, mirrored rotation, half a pixel, averaging, the border.
    models("data/alignment", "((94.0, 86.0), (162.0, 86.0))", "((84.0, 86.0), (172.0, 86.0))", FACES),
    models("data/alignment", "(128.0, 125.0)", "(128.0, 135.0)", FACES),
    models(
        "data/alignment",
        "[[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]]",
        "[[a.real, a.imag, b.real], [-a.imag, a.real, b.imag]]",
        FACES,
    ),
    models("data/alignment", "    if scale < 1:\n", "    if False:\n", FACES),
    models("data/alignment", "(ratio / 2 - 0.5)", "(0 * ratio)", FACES),
    models("data/alignment", "BORDER = (128, 128, 128)", "BORDER = (0, 0, 0)", FACES),
    models("data/alignment", "(SIZE - 1) / 2 - scale", "SIZE / 2 - scale", FACES),
    models("data/alignment", "if trained_on != these:", "if False:", FACES),
    # Images: wrong order of colours, wrong orientation, truncated files.
    images("np.uint8), mode)", "np.uint8), cv2.IMREAD_COLOR)", FACES),
    images("np.uint8), mode)", "np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)", FACES),
    images("and not _ends(data)", "and False", SOURCES, "-k", "cut_off"),
    images("marker.end() + length)", "marker.end())", SOURCES, "-k", "cut_off"),
    images("return marker is not None", 'return jpeg.endswith(b"\\xff\\xd9")', SOURCES, "-k", "cut_off"),
    images("_MARKER.search(jpeg, 2)", "_MARKER.match(jpeg, 2)", SOURCES, "-k", "valid_jpeg"),
    images(r"\xd9-\xfe", r"\xd0-\xfe", SOURCES, "-k", "valid_jpeg"),
    models("faces/sources", 're.split("([0-9]+)"', r're.split(r"([0-9²]+)"', SOURCES, "-k", "superscript"),
    Mutant(
        "sma_models/cli/predict.py", "_CAMERA.fullmatch(source)", "source.isdigit()", (SOURCES, "-k", "superscript")
    ),
    # Frames without a face, stored crops, resumed runs.
    models("data/alignment_table", "MAX_BORROW_DISTANCE = 15", "MAX_BORROW_DISTANCE = 14", ALIGN),
    models("data/alignment_table", "MAX_BORROW_DISTANCE = 15", "MAX_BORROW_DISTANCE = 16", ALIGN),
    models("data/alignment_table", "- frame), i))", "- frame), -i))", ALIGN),
    models("data/alignment_table", 'np.argsort(numbers, kind="stable")', "np.arange(len(numbers))", ALIGN),
    models("faces/sources", "quality: int = 95", "quality: int = 75", ALIGN),
    models(
        "faces/sources", 'for name in names if not name.startswith(".")', "for name in names", ALIGN, "-k", "hidden"
    ),
    # Ignored or circular links; crops that are links.
    models("faces/sources", ", followlinks=True", "", SOURCES, "-k", "links"),
    models("faces/sources", "if real not in entered and not", "if not", SOURCES, "-k", "links"),
    models("faces/sources", " or path.is_symlink():", ":", SOURCES, "-k", "nothing"),
    models("faces/sources", "onerror=fail, ", "", SOURCES, "-k", "be_read"),
    models("data/crops", "path.resolve() if path.is_symlink()", "path if path.is_symlink()", CROPS, "-k", "links"),
    models(
        "data/crops",
        "self._resolved[path.parent] = path.parent.resolve()",
        "self._resolved[path.parent] = path.parent",
        CROPS,
    ),
    models("faces/align", "if frame.number >= start", "if True", ALIGN),
    models("faces/align", "job.frame is not None and job.source not in last", "job.frame is not None", ALIGN),
    models("faces/align", "if inside or", "if", ALIGN),
    # Detectors: the face, its points, and their coordinates in the large image.
    models("faces/detect", "return max(faces, key", "return min(faces, key", FACES),
    models("faces/detect", "_to_full_size(points, shrink)", "points", FACES),
    models(
        "faces/detect",
        "_to_full_size(np.float64(row[4:10]).reshape(3, 2), shrink)",
        "np.float64(row[4:10]).reshape(3, 2)",
        YUNET,
    ),
    models("faces/detect", "row[:4] / shrink", "row[:4]", YUNET),
    models("faces/detect", "row[4:10]", "row[6:12]", YUNET),
    models(
        "faces/detect",
        "self.network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))",
        "self.network.detect(small)",
        YUNET,
    ),
    models("faces/detect", "self(np.zeros((32, 32, 3), np.uint8))", "pass", YUNET),
    models("faces/detect", 'cascade: "cv2.CascadeClassifier"', "cascade: cv2.CascadeClassifier", OPENCV5),
    models("faces/detect", 'if not hasattr(cv2, "CascadeClassifier"):', "if False:", OPENCV5),
    # Numbers of faces.
    models("faces/tracking", "LOST_AFTER = 1.0", "LOST_AFTER = 3.0", PREDICT),
    models("faces/tracking", "LOST_AFTER = 1.0", "LOST_AFTER = 0.5", PREDICT),
    models("faces/tracking", "_MIN_OVERLAP = 0.3", "_MIN_OVERLAP = 0.95", PREDICT),
    models("faces/tracking", "key=lambda pair: (-pair[0]", "key=lambda pair: (pair[0]", PREDICT),
    models("faces/tracking", "and face not in numbers.values()", "", PREDICT),
    models("faces/pipeline", "if frame.first:", "if False:", PREDICT),
    models("faces/tracking", "round(now - seen, 6)", "(now - seen)", PREDICT, "-k", "tracker"),
    # Times, smoothing, binary predictions.
    models("faces/sources", "self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000", "number / self.fps", PREDICT),
    models("faces/tracking", "1 - math.exp(-max(0.0, time - at) / self._seconds)", "0.5", PREDICT),
    models(
        "faces/pipeline",
        '(f"{region}_smooth" for region in self.predictor.regions)\n            row',
        "self.predictor.regions\n            row",
        PREDICT,
    ),
    models("faces/predictor", "self.calibration.decide(logits)", "(logits >= 0)", PREDICT),
    models("faces/predictor", "self.calibration.probabilities(logits)", "logits.sigmoid()", PREDICT),
    models("faces/predictor", "output.logits.double()", "output.logits.float()", PREDICT, "-k", "confident"),
    models("faces/pipeline", "= _rounded(value)", "= round(value, 5)", PREDICT, "-k", "confident"),
    models(
        "faces/annotate",
        "[face.probability.argmax()]",
        "np.flatnonzero(face.probability == face.probability.max())",
        PREDICT,
        "-k",
        "equal_probabilities",
    ),
    models(
        "faces/predictor",
        "whole_square(crop, self.canvas)",
        "cv2.resize(crop, (self.canvas, self.canvas), interpolation=cv2.INTER_AREA)",
        PREDICT,
    ),
    models("faces/pipeline", 'self.predictor.alignment["template"]', '"eyes"', YUNET),
    # Videos that end early, sources without frames, names with a colon.
    models(
        "faces/sources", "if (self._counted or even) and len(times) < fewest:", "if False:", SOURCES, "-k", "cut_off"
    ),
    models(
        "faces/sources",
        "self.frames if self._counted else 0.9 * self.frames",
        "0.9 * self.frames",
        SOURCES,
        "-k",
        "last",
    ),
    models("faces/sources", "self._counted or even", "True", SOURCES, "-k", "uneven"),
    models("faces/sources", "times[-1] + gaps.max(initial=0) < 0.9 * duration", "False", SOURCES, "-k", "uneven"),
    models("faces/sources", "str(source.absolute())", "str(source)", SOURCES, "-k", "colon"),
    models(
        "faces/pipeline",
        "            if empty:\n",
        "            if False:\n",
        SOURCES,
        "-k",
        "nothing",
    ),
    # Rotated sessions, and only those.
    models("faces/align", "if faces or not any(", "if faces or not all(", SESSIONS),
    models("faces/align", "        if faces or not any(", "        if False and not any(", SESSIONS),
    models(
        "faces/align",
        'not any((folder / "session.xml").is_file() for folder in job.path.parents[:2])',
        "False",
        SESSIONS,
    ),
    models("faces/align", "for folder in job.path.parents[:2]", "for folder in job.path.parents[:1]", SESSIONS),
    models("faces/detect", "(False, cv2.ROTATE_90_COUNTERCLOCKWISE)", "", SESSIONS),
    models("faces/detect", "np.column_stack([v, height - 1 - u])", "np.column_stack([v, u])", SESSIONS),
    models("faces/detect", "np.column_stack([width - 1 - v, u])", "np.column_stack([width - v, u])", SESSIONS),
    models("faces/detect", "(y, height - x - across, down, across)", "(y, height - x - down, down, across)", SESSIONS),
    models("data/crops", 'row.get("turned") == "1"', "False", SESSIONS),
    # Sizes from files: a square of gigabytes, boxes and points of another image, numbers beyond 64 bits.
    images("if inside.size and shrink < 1 and", "if False and", SIZES, "-k", "memory"),
    images("(left - columns.start) * shrink", "(columns.start - left) * shrink", SIZES),
    images("max(start, 0.0)", "start", SIZES),
    images("1) > 4", "1) > 8", SIZES),
    images("<= 18 else None", "<= 99 else None", SIZES),
    models("faces/detect", "if not (0 <= x <= width and", "if not (", SIZES),
    models("faces/detect", "and _eye_distance(face.points) <= max(width, height)", "", SIZES),
    models("faces/detect", "_eye_distance(points) >= 1", "_eye_distance(points) > 0", SIZES),
    models("faces/detect", "if _valid_points(face.points)", "", YUNET),
    # Crops: whether a face was found, in any folder, and images that are not crops.
    models("faces/pipeline", "crop is None or crop.detected)", "True)", CROPS, "-k", "predictions"),
    models("data/crops", 'row["found"] == "1", row', 'row["found"] != "", row', CROPS),
    models("data/crops", "self._top(parent) if parent != folder else None", "None", CROPS),
    models("data/crops", "records.get(path.relative_to(top).as_posix())", "Crop(Alignment.of_folder(top))", CROPS),
    models("data/crops", "if len(kinds) > 1:", "if False:", CROPS, "-k", "in_part"),
    # Rows, batches, memory.
    models("faces/pipeline", 'yield dict.fromkeys(self.columns) | start | {"found": 0}', "pass", PREDICT),
    models("faces/pipeline", "                pending = []\n", "", PREDICT, "-k", "folder or keeps_its_faces"),
    models("faces/parallel", "if len(pending) >= 4 * workers:", "if False:", MEMORY, "-k", "held"),
    models("faces/annotate", "cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP", "cv2.INTER_LINEAR", PREDICT),
]
