"""Mutants of the database loaders, and of their files and messages."""

from tests.mutants.mutant import Mutant, data, models

DATABASES = "tests/data/test_au_databases.py"
BP4D = "tests/data/test_bp4d.py"
BP4DPLUS = "tests/data/test_bp4dplus.py"
DISFA = "tests/data/test_disfa.py"
CLASSES = "tests/data/test_fer_databases.py"
BATCHES = "tests/data/test_batches.py"
CHECK = "tests/data/test_data_check.py"
CROPS = "tests/faces/test_crops.py"
SIZES = "tests/faces/test_image_sizes.py"
METRICS = "tests/metrics/test_scores.py"
CHECKS = "tests/data/test_csv_checks.py"
OWN = "tests/data/test_csv_splits.py"
TEXT = "tests/data/test_text_files.py"

LABELS = [
    # Columns by position instead of by name.
    data(
        "databases/au_occurrence", "[numbers.index(unit, 1) for unit in units]", "list(range(1, 1 + len(units)))", BP4D
    ),
    data(
        "databases/au_occurrence",
        "all(map(_NUMBER.fullmatch, header))",
        "all(map(str.isdigit, header))",
        BP4D,
        "-k",
        "odd_codes",
    ),
    data("manifest", 'if path.suffix == ".json":', "if False:", CLASSES, "-k", "beside_it"),
    data("databases/mmi", "{str(code): name for", "{code: name for", CLASSES, "-k", "codes_of_yaml"),
    data("manifest", " and not file.is_dir():", ":", BP4D, "-k", "named_like"),
    data("databases/au_occurrence", "_NUMBER.fullmatch(cells[0])", "cells[0].isdigit()", BP4D, "-k", "odd_codes"),
    # 9 read as absent, or as known.
    data("csv_table", '{"9": UNKNOWN, "": UNKNOWN}', '{"9": 0, "": UNKNOWN}', BP4D, "-k", "nines"),
    data("face_dataset", '"known": units != UNKNOWN', '"known": units == units', BP4D, "-k", "nines"),
    models("metrics/scores", "rows = known[:, unit]", "rows = known[:, unit] | True", METRICS),
    models("losses/classification", "terms.where(known, 0)", "terms", "tests/training/test_losses.py"),
    # Frames sorted by the text of their names.
    data("images", r're.search(r"(\d+)\D*$", stem)', r're.search(r"(\d{4})\D*$", stem)', BP4D),
    data(
        "manifest",
        "for number, files in sorted(images.items()) if len",
        "for number, files in images.items() if len",
        DISFA,
    ),
    data("manifest", "sorted(images.items()) if len(files) == 1}", "sorted(images.items())}", BP4D),
    data("manifest", 'if not file.name.startswith("."))', ")", DATABASES, "-k", "hidden"),
    data("databases/au_occurrence", "if not any(cells):", "if False:", BP4D, "-k", "empty_lines"),
    # One unusual file stops the others.
    data(
        "databases/mmi",
        "except ValueError as error:\n            #",
        "except KeyError as error:\n            #",
        CLASSES,
        "-k",
        "odd",
    ),
    data(
        "databases/mmi",
        "(ET.ParseError, LookupError, OSError, ValueError)",
        "(ET.ParseError, OSError)",
        CLASSES,
        "-k",
        "odd",
    ),
    data("databases/mmi", 'visible(session, "*.xml")', 'session.glob("*.xml")', CLASSES, "-k", "hidden"),
    data(
        "databases/ckplus",
        'visible(label_folder / name, f"*{suffix}")',
        'list((label_folder / name).glob(f"*{suffix}"))',
        CLASSES,
    ),
    data("databases/ckplus", "        if len(frames) <= APEX_FRAMES:\n", "        if False:\n", CLASSES, "-k", "short"),
    data("databases/bu3dfe", "if len(files) == 1:", "if files:", CLASSES, "-k", "bu3dfe"),
    # DISFA: a guessed index base, a shifted frame, a missing file, a threshold.
    data("databases/disfa", "if ends == (base, base + frames - 1):", "if ends and ends[0] == base:", DISFA),
    data("databases/disfa", "Sample(images[offset + base]", "Sample(images[max(offset, base)]", DISFA),
    data("databases/disfa", "cells is None or int(cells[1]) != line", "cells is None", DISFA),
    data(
        "databases/disfa",
        'raise FileNotFoundError(f"there is no file {file} of AU{unit}")',
        "columns.append([0] * len(columns[0])); continue",
        DISFA,
    ),
    data("databases/disfa", "AU_THRESHOLD = 2", "AU_THRESHOLD = 1", DISFA),
    data("csv_table", "int(level >= positive)", "int(level > positive)", DISFA),
    data("databases/disfa", "views = _CAMERAS[camera]", 'views = _CAMERAS["both"]', DISFA),
    # CK+: intensity 0, the subjects of the folds, the frames, the code.
    data("databases/ckplus", "units[unit] = intensity or None", "units[unit] = intensity", CLASSES),
    data("databases/ckplus", "int(unit in units) for unit", "int(bool(units.get(unit))) for unit", CLASSES),
    data(
        "databases/ckplus",
        "folds_by_rank(labelled, FOLDS)",
        "folds_by_rank((s.subject for s in index.samples), FOLDS)",
        CLASSES,
    ),
    data(
        "databases/ckplus",
        "if file is None:\n            continue",
        "if file is None:\n            labelled.append(subject)\n            continue",
        CLASSES,
    ),
    data("databases/ckplus", "frames[-APEX_FRAMES:]", "frames[:APEX_FRAMES]", CLASSES),
    data("databases/ckplus", "Sample(frames[0][1]", "Sample(frames[1][1]", CLASSES),
    data(
        "databases/ckplus",
        '4: "fear", 5: "happiness", 6: "sadness"',
        '6: "fear", 5: "happiness", 4: "sadness"',
        CLASSES,
    ),
    # MMI: views, codes, the middle, the subject.
    data("databases/mmi", "if view in used:", "if True:", CLASSES),
    data("databases/mmi", "views is not None else [0]", "views is not None else [0, 2]", CLASSES),
    data("databases/mmi", '"2": "disgust", "3": "fear"', '"3": "disgust", "2": "fear"', CLASSES),
    data("databases/mmi", "(len(images) - APEX_FRAMES) // 2", "len(images) - APEX_FRAMES", CLASSES),
    data("databases/mmi", r'r"(S\d+)-"', r'r"(S\d+-\d+)"', CLASSES),
    # BU-3DFE and BP4D+.
    data("databases/bu3dfe", "levels is not None else [3, 4]", "levels is not None else [2, 3, 4]", CLASSES),
    data("databases/bu3dfe", 'name[2] and name[4] == index.settings["texture"]', "name[2]", CLASSES),
    data(
        "databases/bu3dfe", "subjects if subjects.is_dir() else folder(", "folder(", CLASSES, "-k", "folder_of_theirs"
    ),
    data("manifest", "if deeper else", "if False else", CLASSES, "-k", "deeper"),
    data("databases/bp4dplus", "start + middle : every", "start + middle", BP4DPLUS),
    data("databases/bp4dplus", "max(0, (len(images) - middle) // 2)", "0", BP4DPLUS),
    data(
        "databases/bp4dplus", '"T9": "anger",\n    "T10": "disgust"', '"T10": "anger",\n    "T9": "disgust"', BP4DPLUS
    ),
    data("databases/bp4dplus", 'CODED_TASKS = ("T1", "T6", "T7", "T8")', 'CODED_TASKS = ("T1", "T6", "T8")', BP4DPLUS),
    data("databases/bp4dplus", '"1": "F004 F013', '"1": "F012 F013', BP4DPLUS, "-k", "parts_are"),
    data(
        "databases/bp4dplus",
        "set_published_folds(index, {name: tuple(subjects.split())",
        "set_published_folds(index, {name: ()",
        BP4DPLUS,
    ),
    # Images counted from 0 with codes counted from 1, and vice versa.
    data("databases/bp4dplus", "if first_image is None else first_image", "if False else 1", BP4DPLUS, "-k", "from_0"),
    data(
        "databases/bp4dplus",
        "setdefault(first if window is None else window",
        "setdefault(first",
        BP4DPLUS,
        "-k",
        "frames_only",
    ),
    data("databases/bp4dplus", "or first in (0, 1):", "or True:", BP4DPLUS, "-k", "proved"),
    data("databases/bp4dplus", "if len(evidence) == 1 or", "if evidence or", BP4DPLUS, "-k", "proved"),
    data("databases/bp4dplus", "1 if 0 in sequence.labels else", "", BP4DPLUS, "-k", "frame_0"),
    data("databases/bp4dplus", 'index.settings["first_picture"] = first', "pass", BP4DPLUS, "-k", "from_0"),
    data("databases/bp4d", "first_image=1)", "first_image=0)", BP4D),
    data(
        "databases/au_occurrence",
        "if first_by_window(sequence) not in (None, first_image):",
        "if False:",
        BP4D,
        "-k",
        "one_off",
    ),
    data("databases/au_occurrence", "    if not labels:\n        return None\n", "", BP4D, "-k", "without_a_row"),
    # Counts: scored, known and published.
    data("manifest", "(labels >= self.positive_from) & known", "(labels > 0) & known", DATABASES, "-k", "are_scored"),
    data(
        "manifest",
        "(labels >= self.positive_from) & known",
        "labels >= self.positive_from",
        DATABASES,
        "-k",
        "are_scored",
    ),
    data("manifest", "np.maximum(known.sum(0), 1)", "max(1, len(labels))", DATABASES, "-k", "are_scored"),
    data("manifest", "2 * shares / (1 + shares)", "shares", DATABASES, "-k", "are_scored"),
    data("manifest", "0.0101 if isinstance(number, float) else 0", "0", DATABASES, "-k", "rounding"),
    data("manifest", "[] if as_published else self.unlabelled", "self.unlabelled", CLASSES, "-k", "expected"),
    data("manifest", "len(self.unlabelled) == self.expected.get(UNLABELLED)", "True", CLASSES, "-k", "expected"),
    data("databases/ckplus", '"neutral": 327', '"neutral": 981', CLASSES, "-k", "expected"),
    data("databases/bu3dfe", "100 * len(used)", "100", CLASSES, "-k", "expected"),
    data("databases/bp4dplus", "range(0, middle, every)", "range(middle)", CLASSES, "-k", "expected"),
    Mutant("sma_models/cli/data_check.py", "for name in counts | index.expected:", "for name in counts:", (CHECK,)),
    # Broken images, images without a face, and images that need not be checked.
    data("databases/base", "check_files=False", "check_files=True", CHECK),
    data("manifest", "int(index.detected(sample))", "1", CHECK),
    data("manifest", "counts[UNDETECTED] = sum", "counts['faces'] = sum", CHECK, "-k", "crops"),
    data(
        "csv_table", "else detected_faces(self.images)", "else np.ones(len(rows), bool)", CROPS, "-k", "knows or scores"
    ),
    data("csv_table", 'row["found"].lower() not in _FLAGS', "False", CROPS, "-k", "believed"),
    data("csv_table", "self._box_inside(row, header_sizes(Path(self.images[row])))", "pass", SIZES),
    data("csv_table", "self._box_inside(index, [image.shape[1::-1]])", "pass", SIZES),
    data("csv_table", "box[2] >= 1 and box[3] >= 1", "box[2] > 0 and box[3] > 0", SIZES),
    data("csv_table", "-?[0-9]{1,18}", "-?[0-9]+", SIZES),
    data("transforms", "8 <= image_size <= 4096", "8 <= image_size", SIZES),
    data("csv_faces", "if alignment and table.boxes is not None:", "if False:", CROPS, "-k", "boxes"),
    Mutant(
        "sma_models/cli/data_check.py",
        "index.samples = [sample for sample, is_readable in pairs if is_readable]",
        "pass",
        (CHECK, "-k", "broken"),
    ),
]

FILES = [
    # Tables with confused or dropped columns.
    models("utils/text_files", "if cell and _canonical(cell) in columns:", "if False:", CHECKS),
    models("utils/text_files", "if intended is not None and intended != _canonical(cell):", "if False:", CHECKS),
    models("utils/text_files", ' or _intended(cell.removesuffix("s"), set(known) - set(header))', "", CHECKS),
    models("utils/text_files", 'unicodedata.normalize("NFKC", name)', "name", CHECKS),
    models("utils/text_files", ' if unicodedata.category(letter) != "Cf"', "", CHECKS),
    models("utils/text_files", "AU0*([0-9]+)", r"AU0*(\d+)", CHECKS),
    data("csv_faces", "if table.unused:", "if False:", CHECKS),
    models("utils/text_files", "[cell.strip() for cell in row]", "row", CHECKS),
    models("utils/text_files", 'return f"AU{int(unit[1])}" if unit else name', "return name", CHECKS),
    # Text decoded or encoded wrongly.
    models("utils/text_files", "strict=True)\n    last", "strict=False)\n    last", CHECKS),
    models("utils/text_files", 'content.decode("utf-8-sig")', 'content.decode("utf-8-sig", "replace")', TEXT),
    models("utils/text_files", "if name in seen:", "if False:", TEXT),
    # Unchecked values and settings.
    data("csv_table", 'if row["found"].lower() not in _FLAGS:', "if False:", CHECKS),
    data("csv_table", '"false": False', '"false": True', CHECKS),
    data("csv_table", "au_threshold not in range(1, _HIGHEST + 1)", "au_threshold not in range(_HIGHEST + 2)", CHECKS),
    data("csv_table", "if ALL in self.folds:", "if False:", CHECKS),
    models("data/prediction_columns", "if columns.count(name) > 1", "if False", CHECKS),
    models(
        "models/pretrained",
        "if not any(re.search(pattern, name) for name in state):",
        "if False:",
        "tests/models/test_pretrained.py",
    ),
    data("data_module", "if number < least:", "if number < 0:", BATCHES, "-k", "no_sense"),
    # Training on one class; splits that were not checked.
    data("data_module", "        self._check_training()\n", "", OWN),
    data("csv_faces", "warnings.warn(f", "str(f", OWN),
    data("split_summary", "[rows[present(faces, region)[rows]]]", "[rows]", OWN),
    data("split_summary", "int(present(faces, region)[rows].sum())", "int(present(faces, region).sum())", OWN),
]

MUTANTS = [*LABELS, *FILES]
