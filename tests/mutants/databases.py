"""Mutants of the database loaders, of splits and folds, of metrics and of cross-validation."""

from tests.mutants.mutant import Mutant, models

DATABASES = "tests/data/test_au_databases.py"
BP4D = "tests/data/test_bp4d.py"
BP4DPLUS = "tests/data/test_bp4dplus.py"
DISFA = "tests/data/test_disfa.py"
CLASSES = "tests/data/test_fer_databases.py"
SPLITS = "tests/data/test_splits.py"
BATCHES = "tests/data/test_batches.py"
TABLE = "tests/data/test_csv_faces.py"
CHECK = "tests/data/test_data_check.py"
CROPS = "tests/faces/test_crops.py"
SIZES = "tests/faces/test_image_sizes.py"
METRICS = "tests/metrics/test_scores.py"
CALIBRATION = "tests/metrics/test_calibration.py"
CROSSVAL = "tests/metrics/test_crossval.py"
AGGREGATE = "tests/metrics/test_aggregate.py"
CROSS_DATASET = "tests/training/test_cross_dataset.py"
CHECKS = "tests/data/test_csv_checks.py"
OWN = "tests/data/test_csv_splits.py"
TEXT = "tests/data/test_text_files.py"
PROCESSES = "tests/training/test_two_processes.py"


def data(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"sma_models/data/{file}.py", old, new, tests)


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

PARTS = [
    data("splits", "ranks % folds", "ranks * folds // (ranks.max() + 1)", SPLITS),
    data("splits", "np.arange(seed % min(5, len(names)), len(names), 5)", "np.arange(0, len(names), 5)", SPLITS),
    data("splits", "MIN_VALIDATION_POSITIVES = 50", "MIN_VALIDATION_POSITIVES = 20", SPLITS),
    data("splits", "np.add.at(positives, rows, labels == 1)", "np.add.at(positives, rows, labels != 0)", SPLITS),
    # Validation that takes the positives from training.
    data("splits", "modest = (5 * positives <= total)", "modest = (positives < total)", SPLITS),
    data("splits", " and not (shown & full).any()", "", SPLITS),
    # Validation that can measure nothing, or that contains the only subject who shows a class.
    data("splits", "<= total).all(1) & known", "<= total).all(1)", SPLITS),
    data("splits", "        admit(others, 1)", "        pass", SPLITS),
    data("splits", "order[known[order]] if known.sum() > 1", "order[known[order]] if known.any()", SPLITS),
    data("splits", " and (training[shown[subject]] > 1).all()", "", SPLITS),
    data("splits", "useful and validating.sum() < len(fifth)", "useful", SPLITS),
    data("splits", "np.maximum(total, 1)).max(1).argmin()", "np.maximum(total, 1)).max(1).argmax()", SPLITS),
    # One person in two splits.
    data("splits", "if (counts > 1).any():", "if False:", BP4D, "-k", "two_parts"),
    data(
        "databases/base",
        "training = np.flatnonzero(~test)",
        "training = np.arange(len(table))",
        BP4D,
        "-k",
        "part_tests",
    ),
    data("databases/base", "train = ~test & ~val", "train = ~test", BP4D, "-k", "part_tests"),
    data("databases/base", "(names.index(self.fold) + 1) % len(names)", "names.index(self.fold) - 1", CLASSES),
    data("csv_faces", "if groups is not None and table.has_subjects:", "if False:", TABLE),
    # Folds that ignore labels, and folds of a file that already defines splits.
    data("csv_faces", "table.subjects, strata_of(table.labels)", "table.subjects, 0 * strata_of(table.labels)", OWN),
    data("splits", "folds = min(folds, len(np.unique(subjects)))", "pass", OWN),
    data("csv_faces", 'if table.has_subjects or table.kind == "au":', "if table.has_subjects:", OWN),
    data("csv_faces", "        return [SPLIT]", '        return list("01234")', OWN),
    data("csv_faces", "if self.fold != SPLIT:", "if False:", OWN),
    # One image, or one person, in two splits.
    data("csv_faces", "if other != name:", "if False:", OWN),
    data("csv_faces", 'repeats += name == "test" and first != row', "pass", OWN),
    data("csv_faces", "normpath(table.images[row])", "table.images[row]", OWN),
    data("csv_faces", "table.boxes[row] if table.boxes is not None else None", "None", OWN),
    data("csv_faces", "if not (train | val).any():", "if False:", OWN),
    data("csv_table", 'check_no_lookalikes(str(self.path), "subjects"', 'print("subjects"', CHECKS),
    data(
        "csv_table",
        'if "found" in self.columns else detected_faces',
        "if False else detected_faces",
        CROPS,
        "-k",
        "believed",
    ),
    models("cli/crossval", "if len(set(words)) < len(words):", "if False:", CROSSVAL, "-k", "twice"),
    models("cli/crossval", "quote(fold, safe=' ')", "fold", CROSSVAL, "-k", "any_name"),
    # Samples: augmentation of labels or in evaluation, repeated or lost samples.
    data(
        "face_dataset",
        "(units == 1).float()",
        "((units.flip(0) if self.augment.random else units) == 1).float()",
        BATCHES,
    ),
    data("transforms", "v2.RandomHorizontalFlip(), ", "", BATCHES),
    data("transforms", "v2.Compose([v2.CenterCrop(size)])", "v2.Compose([v2.RandomCrop(size)])", BATCHES),
    data(
        "samplers",
        "return ((0, position) for position in range(self.rank, len(self.dataset), self.num_replicas))",
        "return super().__iter__()",
        BATCHES,
        "-k",
        "evaluation_shares",
    ),
]

MEASURES = [
    # Several processes: the folder of the log, and a process without samples.
    models(
        "cli/score_report",
        "        log_dir = trainer.log_dir\n        if not trainer.is_global_zero:\n            return None\n",
        "        if not trainer.is_global_zero:\n            return None\n        log_dir = trainer.log_dir\n",
        PROCESSES,
        "-k",
        "units",
    ),
    data("data_module", "if len(getattr(self.splits, split)) < processes:", "if False:", PROCESSES, "-k", "refused"),
    models("metrics/scores", "if not 0 < positives < len(truth):", "if not positives:", METRICS),
    models("metrics/scores", "predicted = x >= threshold[unit].double()", "predicted = x >= 0", METRICS),
    models(
        "metrics/scores",
        "predicted = x >= threshold[unit].double()",
        "predicted = x.float() >= threshold[unit].float()",
        METRICS,
    ),
    # Confident networks: ranks by probability, thresholds between neighbours, Platt's search, undecided sequences.
    models("metrics/scores", "rankdata(scores.double()", "rankdata(scores.double().sigmoid()", METRICS),
    models(
        "metrics/scores",
        "2 * int((truth & predicted).sum()) / (positives + int(predicted.sum()))",
        "float(2 * (truth & predicted).sum() / (positives + predicted.sum()))",
        METRICS,
    ),
    Mutant(
        "tools/synthetic_faces/difficulty.py",
        "model(prepare(part)) for",
        "model(prepare(part)).sigmoid() for",
        (METRICS,),
    ),
    models("metrics/calibration", "middle if middle.float() > below else scores[best]", "middle", CALIBRATION),
    models("metrics/calibration", "2 * hits.double()", "2 * hits", CALIBRATION),
    models("metrics/calibration", "float(x.mean()), float(x.std()) or 1.0", "0.0, 1.0", CALIBRATION),
    models(
        "metrics/aggregate", "ones - ones.max(1, keepdims=True) + rest", "ones + rest", AGGREGATE, "-k", "sequences"
    ),
    # What is undefined is a dash, not a number.
    models(
        "metrics/aggregate",
        'np.flatnonzero(fold.sequences != "")',
        "np.arange(len(fold.sequences))",
        AGGREGATE,
        "-k",
        "sequences",
    ),
    models("metrics/aggregate", "if len(names) < 2:", "if False:", AGGREGATE, "-k", "interval"),
    models("report/crossval_summary", "if np.isfinite([low, high]).all() else", "if True else", CROSSVAL, "-k", "dash"),
    models("metrics/scores", "f1.where(true > 0, torch.nan)", "f1.nan_to_num(0)", METRICS),
    # Pooled scores, and means over folds.
    models(
        "metrics/aggregate",
        "fold.logits - fold.threshold for fold",
        "fold.logits for fold",
        AGGREGATE,
        "-k",
        "pooled_units",
    ),
    models(
        "metrics/aggregate",
        "np.nansum(values, axis) / np.maximum(count, 1)",
        "np.nan_to_num(values).mean(axis)",
        AGGREGATE,
        "-k",
        "pooled_is_not",
    ),
    models(
        "metrics/aggregate",
        "np.sqrt(squares / np.maximum(count - 1, 1))",
        "np.sqrt(squares / count)",
        AGGREGATE,
        "-k",
        "deviat",
    ),
    models(
        "metrics/aggregate",
        '"sd_over_folds": _deviation(_mean(cells, 0))',
        '"sd_over_folds": _deviation(_mean(cells, 1))',
        AGGREGATE,
        "-k",
        "deviat",
    ),
    models("metrics/aggregate", ".double().softmax(1)", ".double()", AGGREGATE, "-k", "sequences"),
    models(
        "metrics/aggregate",
        "np.stack([fold.subjects[rows], fold.sequences[rows],",
        "np.stack([fold.sequences[rows],",
        AGGREGATE,
        "-k",
        "sequences",
    ),
    models(
        "metrics/aggregate",
        "np.searchsorted(names, whole.subjects)",
        "np.arange(len(whole.subjects)) % len(names)",
        AGGREGATE,
        "-k",
        "interval",
    ),
    models("metrics/aggregate", "fold.detected_only() for fold", "fold for fold", AGGREGATE, "-k", "without_a_face"),
    # A cross-validation that does not resume, or mixes its seeds.
    models("cli/crossval", "if not (folder / PREDICTIONS).is_file():", "if True:", CROSSVAL, "-k", "resumes"),
    models("cli/crossval", "*(resume if Path(resume[1]).is_file() else []),", "", CROSSVAL, "-k", "resumes"),
    models("cli/crossval", 'f"--seed_everything={seed}"', '"--seed_everything=0"', CROSSVAL, "-k", "resumes"),
    models(
        "cli/crossval",
        'f"--data.init_args.fold={fold}"',
        'f"--data.init_args.fold={fold and 0}"',
        CROSSVAL,
        "-k",
        "resumes",
    ),
    # Cross-dataset tests.
    models(
        "training/cross_dataset",
        "faces.labels[:, faces.regions.index(name)]",
        "faces.labels[:, column]",
        CROSS_DATASET,
        "-k",
        "another_database",
    ),
    models("training/cross_dataset", "    if seen:\n", "    if False:\n", CROSS_DATASET, "-k", "people"),
    models("training/cross_dataset", "ours != theirs", "True", CROSS_DATASET, "-k", "people"),
    models(
        "training/cross_dataset", "if name.casefold() in trained", "if name in trained", CROSS_DATASET, "-k", "people"
    ),
    models("training/cross_dataset", "[\\s_-]", "[ ]", CROSS_DATASET, "-k", "people"),
    models("training/cross_dataset", '"disfa" if name == "disfaplus" else name', "name", CROSS_DATASET, "-k", "people"),
    data("databases/base", "if actual != checked:", "if False:", CROPS, "-k", "manifest"),
    models("cli/crossval", "# faces {digest(_identity(faces))}", "", CROSSVAL, "-k", "created_with"),
    models(
        "cli/crossval", "for column in (faces.folds, faces.splits)", "for parts in ()", CROSSVAL, "-k", "created_with"
    ),
    models("cli/crossval", "for image in faces.images", "for image in ()", CROSSVAL, "-k", "created_with"),
]

MUTANTS = [*LABELS, *PARTS, *MEASURES, *FILES]
