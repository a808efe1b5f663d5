"""Breaks of finding, aligning, numbering and reading faces."""

from tests.mutants.mutant import Mutant

FACES = "tests/models/test_faces.py"
PREDICT = "tests/models/test_predict.py"


def faces(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"sma_models/faces/{file}.py", old, new, tests)


MUTANTS = [
    # Alignment: the template's place and scale, a mirrored turn, half a pixel, averaging, the border.
    faces("alignment", "((94.0, 86.0), (162.0, 86.0))", "((84.0, 86.0), (172.0, 86.0))", FACES),
    faces("alignment", "(128.0, 125.0)", "(128.0, 135.0)", FACES),
    faces(
        "alignment",
        "[[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]]",
        "[[a.real, a.imag, b.real], [-a.imag, a.real, b.imag]]",
        FACES,
    ),
    faces("alignment", "    if scale < 1:\n", "    if False:\n", FACES),
    faces("alignment", "(ratio / 2 - 0.5)", "(0 * ratio)", FACES),
    faces("alignment", "BORDER = (128, 128, 128)", "BORDER = (0, 0, 0)", FACES),
    faces("alignment", "(SIZE - 1) / 2 - scale", "SIZE / 2 - scale", FACES),
    faces("alignment", "if theirs != ours:", "if False:", FACES),
    # Faceless frames, and what is stored.
    faces("sources", "quality: int = 95", "quality: int = 75", FACES),
    faces(
        "sources",
        "image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)",
        "image = cv2.imread(str(path), cv2.IMREAD_COLOR)",
        FACES,
    ),
    faces(
        "sources",
        "image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)",
        "image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)",
        FACES,
    ),
    # Detectors: which face, and back to the large picture.
    faces("detect", "return max(faces, key", "return min(faces, key", FACES),
    faces("detect", "(points + 0.5) / shrink - 0.5))", "points))", FACES),
    # Numbers of faces.
    faces("tracking", "LOST_AFTER = 1.0", "LOST_AFTER = 3.0", PREDICT),
    faces("tracking", "LOST_AFTER = 1.0", "LOST_AFTER = 0.5", PREDICT),
    faces("tracking", "_LEAST_OVERLAP = 0.3", "_LEAST_OVERLAP = 0.95", PREDICT),
    faces("tracking", "key=lambda pair: (-pair[0]", "key=lambda pair: (pair[0]", PREDICT),
    faces("tracking", "and face not in numbers.values()", "", PREDICT),
    faces("predict", "if shot.first:", "if False:", PREDICT),
    # Times, smoothing, decisions.
    faces("sources", "self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000", "number / self.fps", PREDICT),
    faces("tracking", "1 - math.exp(-max(0.0, time - at) / self._seconds)", "0.5", PREDICT),
    faces(
        "predict",
        '(f"{region}_smooth" for region in self.reader.regions)\n            row',
        "self.reader.regions\n            row",
        PREDICT,
    ),
    faces("reader", "self.calibration.decide(logits)", "(logits >= 0)", PREDICT),
    faces("reader", "self.calibration.probabilities(logits)", "logits.sigmoid()", PREDICT),
    faces(
        "reader",
        "cv2.INTER_AREA if max(crop.shape[:2]) >= self.canvas else cv2.INTER_LINEAR",
        "cv2.INTER_NEAREST",
        PREDICT,
    ),
    faces("predict", 'self.reader.alignment["template"]', '"eyes"', PREDICT),
    # Rows, batches, memory.
    faces("predict", 'yield dict.fromkeys(self.columns) | start | {"found": 0}', "pass", PREDICT),
    faces("predict", "                waiting = []\n", "", PREDICT, "-k", "folder or keeps_its_faces"),
    faces("work", "if len(waiting) >= 4 * workers:", "if False:", PREDICT, "-k", "streamed"),
    faces("annotate", "cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP", "cv2.INTER_LINEAR", PREDICT),
]
