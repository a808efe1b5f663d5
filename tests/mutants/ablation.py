"""Mutants of the ablation: pairing, scores, conclusions, and resuming after a kill."""

from tests.mutants.mutant import Mutant

ARMS = "tests/ablation/test_arms.py"
ATTENTION = "tests/ablation/test_attention_metrics.py"
STATISTICS = "tests/ablation/test_statistics.py"
ABLATE = "tests/ablation/test_ablate.py"


def ablation(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"sma_models/ablation/{file}.py", old, new, tests)


MUTANTS = [
    # Arms: what each omits, and what a pair shares.
    ablation("arms", "embed_dim=base.channels * base.embed_dim", "embed_dim=base.embed_dim", ARMS),
    ablation(
        "arms",
        'Arm("diversity", "O + diversity", base, **diversified)',
        'Arm("diversity", "O + diversity", base)',
        ARMS,
    ),
    ablation("arms", "replace(base, shared_features=True)", "base", ARMS),
    ablation(
        "frozen_heads",
        "            torch.manual_seed(seed)\n            self.classifier",
        "            self.classifier",
        ARMS,
    ),
    ablation("frozen_heads", "with torch.random.fork_rng(devices=[]):", "if True:", ARMS),
    ablation(
        "frozen_heads", "np.random.default_rng(order_seed)", "np.random.default_rng(len(list(head.parameters())))", ARMS
    ),
    ablation("frozen_heads", "and arm.diversity_weight:", "and False:", ARMS),
    ablation("backbone", "        nn.init.zeros_(self.network.attention.weight)\n", "", ABLATE),
    ablation("arms", "                _check(arm)\n", "", ARMS),
    Mutant(
        "sma_models/models/sma_net.py",
        "self.norm(pooled.flatten(0, -2)).view_as(pooled)",
        "pooled",
        ("tests/models/test_sma_net.py",),
    ),
    # Parts: people and seeds.
    ablation("config", "PHASES.index(self.phase) * _PHASE_STRIDE", "0", ARMS),
    ablation(
        "datasets",
        "first_subject=settings.first_seed + _SPLITS * faces.subjects",
        "first_subject=settings.first_seed",
        ARMS,
    ),
    ablation("datasets", "settings.first_seed + 2 * _SPLITS", "settings.first_seed + _SPLITS", ARMS),
    ablation("datasets", 'mode="independent"', 'mode="correlated"', ARMS),
    Mutant("sma_models/data/synthetic.py", "np.cumsum([self._first_subject, ", "np.cumsum([0, ", (ARMS,)),
    # Attention.
    ablation("attention_metrics", "(shares * masks).sum(1), pointing", "(maps * masks).sum(1), pointing", ATTENTION),
    ablation("attention_metrics", "/ peaks.sum(1)", "/ 1", ATTENTION),
    ablation("attention_metrics", ".round().clamp_min(1)", ".round()", ATTENTION),
    ablation("attention_metrics", "area - above.sum(1, keepdim=True)", "area", ATTENTION),
    ablation("attention_metrics", "1 / (maps.shape[1] * ", "1 / (", ATTENTION),
    ablation("attention_metrics", "return present & (masks.sum(2) > 0)", "return masks.sum(2) > 0", ATTENTION),
    ablation("attention_metrics", "return present & (masks.sum(2) > 0)", "return present", ATTENTION),
    ablation("attention_metrics", "if other != unit", "if True", ATTENTION),
    ablation("attention_metrics", "largest * (refined == largest)", "(refined == largest)", ATTENTION),
    ablation("attention_metrics", "attention.mean(2) if", "attention.amax(2) if", ATTENTION),
    # Statistics: pairs, seeds instead of pairs of seeds, corrections, verdicts.
    ablation(
        "statistics",
        "    return Estimate(mean, float(low), float(high)",
        "    return Estimate(mean, float(low) - 1, float(high)",
        STATISTICS,
    ),
    ablation("statistics", "(total - 2 * rows)", "(total - rows)", STATISTICS),
    ablation("statistics", "rows = matrix.sum(1) - matrix.diagonal()", "rows = matrix.sum(1)", STATISTICS),
    ablation("statistics", "flat - flat.mean(-1, keepdims=True)", "flat", STATISTICS),
    ablation("statistics", "second[others]", "second[others[::-1]]", STATISTICS),
    ablation("statistics", "(n - 1) * without", "n * without", STATISTICS),
    ablation("statistics", "norm > rounding", "norm > 1e-9", STATISTICS),
    ablation("statistics", "if n < MIN_SEEDS or", "if", STATISTICS),
    ablation("statistics", "highest = max(highest, ", "highest = max(0.0, ", STATISTICS),
    ablation("statistics", "(len(p) - rank)", "len(p)", STATISTICS),
    ablation("contrasts", "np.isnan(adjusted) or adjusted >= ALPHA or ", "", STATISTICS),
    ablation("contrasts", " or estimate.low <= neutral <= estimate.high", "", STATISTICS),
    ablation("contrasts", "adjusted >= ALPHA", "adjusted > ALPHA", STATISTICS),
    ablation(
        "contrasts",
        'Contrast(3, "energy", "diversity", "own")',
        'Contrast(3, "energy", "own", "diversity")',
        STATISTICS,
    ),
    ablation(
        "contrasts",
        '"own": -0.5, "diversity": 0.5, "correlation": -0.5',
        '"own": -0.5, "diversity": 0.5, "correlation": 0.5',
        STATISTICS,
    ),
    # Files: written atomically, and nothing done twice.
    ablation("run_files", '"measures": scores.measures', '"measures": {}', ABLATE, "-k", "written"),
    ablation(
        "run_files",
        "for seed in seeds]\n    measures_by_seed",
        "for seed in sorted(seeds)]\n    measures_by_seed",
        ABLATE,
        "-k",
        "written",
    ),
    ablation(
        "run_files", "    threading.Thread(target=_end_with_parent, daemon=True).start()\n", "", ABLATE, "-k", "kill"
    ),
    Mutant(
        "sma_models/cli/ablate.py", "[run for run in runs if not run.finished(out)]", "runs", (ABLATE, "-k", "kill")
    ),
    Mutant("sma_models/cli/ablate.py", "    _check_settings(args.out, settings)\n", "", (ABLATE, "-k", "kill")),
    ablation(
        "feature_cache",
        "maps[done : done + len(features)] = features",
        "maps[: len(features)] = features",
        ABLATE,
        "-k",
        "own_face",
    ),
    ablation(
        "feature_cache",
        '    if path.with_suffix(".npz").is_file():\n        return\n',
        "",
        ABLATE,
        "-k",
        "computed_once",
    ),
    ablation(
        "feature_cache",
        "self.center_crop(regions, (0, 0, 0)).float()",
        "self.center_crop(regions, (0, 0, 0)).float().flip(1)",
        ABLATE,
        "-k",
        "masks_lie",
    ),
    ablation(
        "datasets",
        "np.flatnonzero(counts >= MIN_CLASS_FACES)",
        "np.flatnonzero(counts >= 0)",
        ABLATE,
        "-k",
        "own_faces",
    ),
    ablation("datasets", "np.searchsorted(frequent, table.labels)", "table.labels", ABLATE, "-k", "own_faces"),
]
