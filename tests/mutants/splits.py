"""Mutants of splits, folds and batches."""

from tests.mutants.mutant import data, models

BP4D = "tests/data/test_bp4d.py"
CLASSES = "tests/data/test_fer_databases.py"
SPLITS = "tests/data/test_splits.py"
BATCHES = "tests/data/test_batches.py"
TABLE = "tests/data/test_csv_faces.py"
CROPS = "tests/faces/test_crops.py"
CROSSVAL = "tests/metrics/test_crossval.py"
CHECKS = "tests/data/test_csv_checks.py"
OWN = "tests/data/test_csv_splits.py"

MUTANTS = [
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
