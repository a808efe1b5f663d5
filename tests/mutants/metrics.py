"""Mutants of metrics and cross-validation."""

from tests.mutants.mutant import Mutant, data, models

CROPS = "tests/faces/test_crops.py"
METRICS = "tests/metrics/test_scores.py"
CALIBRATION = "tests/metrics/test_calibration.py"
CROSSVAL = "tests/metrics/test_crossval.py"
AGGREGATE = "tests/metrics/test_aggregate.py"
CROSS_DATASET = "tests/training/test_cross_dataset.py"
PROCESSES = "tests/training/test_two_processes.py"

MUTANTS = [
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
