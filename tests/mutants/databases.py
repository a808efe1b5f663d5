"""Breaks of the databases' loaders, of parts and folds, of measures and of cross-validation."""

from tests.mutants.mutant import Mutant

UNITS = "tests/models/test_au_databases.py"
CLASSES = "tests/models/test_fer_databases.py"
SPLITS = "tests/models/test_splits.py"
BATCHES = "tests/models/test_batches.py"
TABLE = "tests/models/test_csv_faces.py"
CHECK = "tests/models/test_data_check.py"
METRICS = "tests/models/test_metrics.py"
CALIBRATION = "tests/models/test_calibration.py"
CROSSVAL = "tests/models/test_crossval.py"
CHECKS = "tests/models/test_csv_checks.py"
OWN = "tests/models/test_csv_parts.py"
TEXT = "tests/models/test_text_files.py"
PROCESSES = "tests/models/test_processes.py"


def data(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"sma_models/data/{file}.py", old, new, tests)


def models(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"sma_models/{file}.py", old, new, tests)


LABELS = [
    # Columns by place instead of by name.
    data("occurrence", "[numbers.index(unit, 1) for unit in units]", "list(range(1, 1 + len(units)))", UNITS),
    data(
        "occurrence", "all(map(_NUMBER.fullmatch, header))", "all(map(str.isdigit, header))", UNITS, "-k", "odd_codes"
    ),
    data("occurrence", "_NUMBER.fullmatch(cells[0])", "cells[0].isdigit()", UNITS, "-k", "odd_codes"),
    # 9 taken for absent, or for known.
    data("csv_table", '{"9": UNKNOWN, "": UNKNOWN}', '{"9": 0, "": UNKNOWN}', UNITS, "-k", "nines"),
    data("base", '"known": units != UNKNOWN', '"known": units == units', UNITS, "-k", "nines"),
    models("metrics", "rows = known[:, unit]", "rows = known[:, unit] | True", METRICS),
    models("losses", "terms.where(known, 0)", "terms", "tests/models/test_losses.py"),
    # Frames by the text of their names.
    data("listing", r're.search(r"(\d+)\D*$", file.stem)', r're.search(r"(\d{4})\D*$", file.stem)', UNITS),
    data("listing", "return dict(sorted(found.items()))", "return found", UNITS),
    data("listing", "if index in found:", "if False:", UNITS),
    # DISFA: an index base that is guessed, a shifted frame, a file that is missing, a threshold.
    data("disfa", "if ends == (base, base + frames - 1):", "if ends and ends[0] == base:", UNITS),
    data("disfa", "Sample(pictures[place + base]", "Sample(pictures[max(place, base)]", UNITS),
    data("disfa", "cells is None or int(cells[1]) != line", "cells is None", UNITS),
    data(
        "disfa",
        'raise FileNotFoundError(f"there is no file {file} of AU{unit}")',
        "columns.append([0] * len(columns[0])); continue",
        UNITS,
    ),
    data("disfa", "au_threshold: int = 2", "au_threshold: int = 1", UNITS),
    data("csv_table", "int(level >= positive)", "int(level > positive)", UNITS),
    data("disfa", "views = _CAMERAS[camera]", 'views = _CAMERAS["both"]', UNITS),
    # CK+: intensity 0, whom the folds count, which frames, which code.
    data("ckplus", "units[unit] = intensity or None", "units[unit] = intensity", CLASSES),
    data("ckplus", "int(unit in units) for unit", "int(bool(units.get(unit))) for unit", CLASSES),
    data(
        "ckplus",
        "folds_by_rank(labelled, FOLDS)",
        "folds_by_rank((s.subject for s in listing.samples), FOLDS)",
        CLASSES,
    ),
    data(
        "ckplus",
        "if file is None:\n            continue",
        "if file is None:\n            labelled.append(subject)\n            continue",
        CLASSES,
    ),
    data("ckplus", "frames[-APEX_FRAMES:]", "frames[:APEX_FRAMES]", CLASSES),
    data("ckplus", "Sample(frames[0][1]", "Sample(frames[1][1]", CLASSES),
    data("ckplus", '4: "fear", 5: "happiness", 6: "sadness"', '6: "fear", 5: "happiness", 4: "sadness"', CLASSES),
    # MMI: views, codes, the middle, the subject.
    data("mmi", "if view in used:", "if True:", CLASSES),
    data("mmi", "views is not None else [0]", "views is not None else [0, 2]", CLASSES),
    data("mmi", '"2": "disgust", "3": "fear"', '"3": "disgust", "2": "fear"', CLASSES),
    data("mmi", "(len(pictures) - APEX_FRAMES) // 2", "len(pictures) - APEX_FRAMES", CLASSES),
    data("mmi", r'r"(S\d+)-"', r'r"(S\d+-\d+)"', CLASSES),
    # BU-3DFE and BP4D+.
    data("bu3dfe", "levels is not None else [3, 4]", "levels is not None else [2, 3, 4]", CLASSES),
    data("bu3dfe", 'name[2] and name[4] == listing.settings["texture"]', "name[2]", CLASSES),
    data("bp4dplus", "start + middle : every", "start + middle", UNITS),
    data("bp4dplus", "max(0, (len(pictures) - middle) // 2)", "0", UNITS),
    data("bp4dplus", '"T9": "anger",\n    "T10": "disgust"', '"T10": "anger",\n    "T9": "disgust"', UNITS),
    data("bp4dplus", 'CODED_TASKS = ("T1", "T6", "T7", "T8")', 'CODED_TASKS = ("T1", "T6", "T8")', UNITS),
    # What is broken, has no face, or need not be looked for.
    data("database", "look_for_all=False", "look_for_all=True", CHECK),
    data("listing", "found.get(image, 1)", "1", CHECK),
    Mutant(
        "sma_models/cli/data_check.py",
        "listing.samples = [sample for sample, good in pairs if good]",
        "pass",
        (CHECK, "-k", "broken"),
    ),
]

FILES = [
    # Tables whose columns are taken for others, or dropped.
    models("text_files", "if cell and _spelt(cell) in columns:", "if False:", CHECKS),
    models("text_files", "if meant is not None and meant != _spelt(cell):", "if False:", CHECKS),
    models("text_files", "[cell.strip() for cell in row]", "row", CHECKS),
    models("text_files", 'return f"AU{int(unit[1])}" if unit else name', "return name", CHECKS),
    # Text that is not what was written.
    models("text_files", "strict=True)\n    last", "strict=False)\n    last", CHECKS),
    models("text_files", 'content.decode("utf-8-sig")', 'content.decode("utf-8-sig", "replace")', TEXT),
    models("text_files", "if name in seen:", "if False:", TEXT),
    # Values and settings that were not checked.
    data("csv_table", 'if row["found"].lower() not in _FOUND:', "if False:", CHECKS),
    data("csv_table", '"false": False', '"false": True', CHECKS),
    data("csv_table", "au_threshold not in range(1, _HIGHEST + 1)", "au_threshold not in range(_HIGHEST + 2)", CHECKS),
    data("csv_table", "if ALL in self.folds:", "if False:", CHECKS),
    models("faces/columns", "if columns.count(name) > 1", "if False", CHECKS),
    models(
        "weights",
        "if not any(re.search(pattern, name) for name in state):",
        "if False:",
        "tests/models/test_weights.py",
    ),
    data("base", "if number < least:", "if number < 0:", BATCHES, "-k", "no_sense"),
    # Training on one class; parts that nobody looked at.
    data("base", "        self._check_training()\n", "", OWN),
    data("csv_faces", "warnings.warn(f", "str(f", OWN),
    data("contents", "[rows[shows(faces, region)[rows]]]", "[rows]", OWN),
    data("contents", "int(shows(faces, region)[rows].sum())", "int(shows(faces, region).sum())", OWN),
]

PARTS = [
    data("splits", "ranks % folds", "ranks * folds // (ranks.max() + 1)", SPLITS),
    data("splits", "np.arange(seed % min(5, len(names)), len(names), 5)", "np.arange(0, len(names), 5)", SPLITS),
    data("splits", "POSITIVES_WANTED = 50", "POSITIVES_WANTED = 20", SPLITS),
    data("splits", "np.add.at(positives, rows, labels == 1)", "np.add.at(positives, rows, labels != 0)", SPLITS),
    # Validation that takes the positives from training.
    data("splits", "modest = (5 * positives <= total).all(1)", "modest = (positives < total).all(1)", SPLITS),
    data("splits", " and not (shown & full).any()", "", SPLITS),
    data("splits", " and validating.sum() < len(fifth)", "", SPLITS),
    data("splits", "np.maximum(total, 1)).max(1).argmin()", "np.maximum(total, 1)).max(1).argmax()", SPLITS),
    # One person in two parts.
    data("database", "if (counts > 1).any():", "if False:", UNITS, "-k", "two_parts"),
    data("database", "training = np.flatnonzero(~test)", "training = np.arange(len(table))", UNITS, "-k", "part_tests"),
    data("database", "train = ~test & ~val", "train = ~test", UNITS, "-k", "part_tests"),
    data("database", "(names.index(self.fold) + 1) % len(names)", "names.index(self.fold) - 1", CLASSES),
    data("csv_faces", "if parts is not None and table.has_subjects:", "if False:", TABLE),
    # Folds that ignore labels, and folds of a file that has parts of its own.
    data("csv_faces", "table.subjects, strata_of(table.labels)", "table.subjects, 0 * strata_of(table.labels)", OWN),
    data("splits", "folds = min(folds, len(np.unique(subjects)))", "pass", OWN),
    data("csv_faces", 'if table.has_subjects or table.kind == "au":', "if table.has_subjects:", OWN),
    data("csv_faces", "        return [SPLIT]", '        return list("01234")', OWN),
    data("csv_faces", "if self.fold != SPLIT:", "if False:", OWN),
    data("csv_faces", '"found" not in table.columns', "False", OWN),
    models("cli/crossval", "if len(set(words)) < len(words):", "if False:", CROSSVAL, "-k", "twice"),
    models("cli/crossval", "quote(fold, safe=' ')", "fold", CROSSVAL, "-k", "any_name"),
    # Samples: an augmentation that touches labels or evaluation, samples that are repeated or lost.
    data("base", "(units == 1).float()", "((units.flip(0) if self.augment.random else units) == 1).float()", BATCHES),
    data("augment", "v2.RandomHorizontalFlip(), ", "", BATCHES),
    data("augment", "v2.Compose([v2.CenterCrop(size)])", "v2.Compose([v2.RandomCrop(size)])", BATCHES),
    data(
        "base",
        "return ((0, place) for place in range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]",
        "return super().__iter__()",
        BATCHES,
        "-k",
        "evaluation_shares",
    ),
]

MEASURES = [
    # Several processes: one that does not ask for the folder of the log, one without a sample.
    models(
        "cli/callbacks",
        "        log_dir = trainer.log_dir\n        if not trainer.is_global_zero:\n            return None\n",
        "        if not trainer.is_global_zero:\n            return None\n        log_dir = trainer.log_dir\n",
        PROCESSES,
        "-k",
        "units",
    ),
    data("base", "if len(getattr(self.parts, part)) < processes:", "if False:", PROCESSES, "-k", "refused"),
    models("metrics", "if not 0 < positives < len(truth):", "if not positives:", METRICS),
    models("metrics", "called = x >= threshold[unit].double()", "called = x >= 0", METRICS),
    models(
        "metrics", "called = x >= threshold[unit].double()", "called = x.float() >= threshold[unit].float()", METRICS
    ),
    # Confident networks: ranks by probability, thresholds between neighbours, Platt's search, undecided sequences.
    models("metrics", "rankdata(scores.double()", "rankdata(scores.double().sigmoid()", METRICS),
    models(
        "metrics",
        "2 * int((truth & called).sum()) / (positives + int(called.sum()))",
        "float(2 * (truth & called).sum() / (positives + called.sum()))",
        METRICS,
    ),
    models("synthetic/difficulty", "model(prepare(part)) for", "model(prepare(part)).sigmoid() for", METRICS),
    models("calibration", "middle if middle.float() > below else scores[best]", "middle", CALIBRATION),
    models("calibration", "2 * hits.double()", "2 * hits", CALIBRATION),
    models("calibration", "float(x.mean()), float(x.std()) or 1.0", "0.0, 1.0", CALIBRATION),
    models("pooling", "ones - ones.max(1, keepdims=True) + rest", "ones + rest", CROSSVAL, "-k", "sequences"),
    # What is undefined is a dash, not a number.
    models(
        "pooling",
        'np.flatnonzero(answers.sequences != "")',
        "np.arange(len(answers.sequences))",
        CROSSVAL,
        "-k",
        "sequences",
    ),
    models("pooling", "if len(names) < 2:", "if False:", CROSSVAL, "-k", "interval"),
    models("cli/crossval_report", "if np.isfinite([low, high]).all() else", "if True else", CROSSVAL, "-k", "dash"),
    models("metrics", "f1.where(true > 0, torch.nan)", "f1.nan_to_num(0)", METRICS),
    # Pooled, and the mean of folds.
    models("pooling", "fold.logits - fold.threshold for fold", "fold.logits for fold", CROSSVAL, "-k", "pooled_units"),
    models(
        "pooling",
        "np.nansum(values, axis) / np.maximum(count, 1)",
        "np.nan_to_num(values).mean(axis)",
        CROSSVAL,
        "-k",
        "pooled_is_not",
    ),
    models(
        "pooling", "np.sqrt(squares / np.maximum(count - 1, 1))", "np.sqrt(squares / count)", CROSSVAL, "-k", "deviat"
    ),
    models(
        "pooling",
        '"sd_over_folds": _deviation(_mean(cells, 0))',
        '"sd_over_folds": _deviation(_mean(cells, 1))',
        CROSSVAL,
        "-k",
        "deviat",
    ),
    models("pooling", ".double().softmax(1)", ".double()", CROSSVAL, "-k", "sequences"),
    models(
        "pooling",
        "np.stack([answers.subjects[rows], answers.sequences[rows],",
        "np.stack([answers.sequences[rows],",
        CROSSVAL,
        "-k",
        "sequences",
    ),
    models(
        "pooling",
        "np.searchsorted(names, whole.subjects)",
        "np.arange(len(whole.subjects)) % len(names)",
        CROSSVAL,
        "-k",
        "interval",
    ),
    models("pooling", "fold.with_a_face() for fold", "fold for fold", CROSSVAL, "-k", "without_a_face"),
    # A cross-validation that does not go on, or mixes its seeds.
    models("cli/crossval", "if not (folder / ANSWERS).is_file():", "if True:", CROSSVAL, "-k", "goes_on"),
    models("cli/crossval", "*(going_on if Path(going_on[1]).is_file() else []),", "", CROSSVAL, "-k", "goes_on"),
    models("cli/crossval", 'f"--seed_everything={seed}"', '"--seed_everything=0"', CROSSVAL, "-k", "goes_on"),
    models(
        "cli/crossval",
        'f"--data.init_args.fold={fold}"',
        'f"--data.init_args.fold={fold and 0}"',
        CROSSVAL,
        "-k",
        "goes_on",
    ),
    # A test on other data.
    models(
        "cross_test",
        "faces.labels[:, faces.regions.index(name)]",
        "faces.labels[:, place]",
        CROSSVAL,
        "-k",
        "another_database",
    ),
    models("cross_test", "    if seen:\n", "    if False:\n", CROSSVAL, "-k", "people"),
    models("cross_test", 'people != origin["people"]', "True", CROSSVAL, "-k", "people"),
]

MUTANTS = [*LABELS, *PARTS, *MEASURES, *FILES]
