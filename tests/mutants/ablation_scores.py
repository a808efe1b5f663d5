"""Breaks of how the ablation scores attention and compares arms."""

from tests.mutants.mutant import Mutant

SCORES = ("tests/models/test_ablation_scores.py",)
CONTRASTS = ("tests/models/test_ablation_contrasts.py",)
MAPS = "sma_models/ablation/scores.py"
ARMS = "sma_models/ablation/contrasts.py"
MEASURES = "sma_models/metrics.py"

MUTANTS = [
    Mutant(MAPS, "score.where(present, torch.nan).nanmean(0)", "score.mean(0)", SCORES),
    Mutant(MAPS, "attention, regions = _distributions(attention), regions.float()", "regions = regions.float()", SCORES),
    Mutant(MAPS, ".squeeze(-1) > 0)", ".squeeze(-1) > 0.5)", SCORES),
    Mutant(MAPS, "attention.square().sum(-1)", "attention.sum(-1)", SCORES),
    Mutant(MAPS, ".round().clamp_min(1)", ".round()", SCORES),
    Mutant(MAPS, ".round().clamp_min(1)", ".ceil().clamp_min(1)", SCORES),
    Mutant(MAPS, "descending=True", "descending=False", SCORES),
    Mutant(MAPS, "regions > 0.5", "regions > 0", SCORES),
    Mutant(MAPS, "(chosen | covered)", "chosen", SCORES),
    Mutant(MAPS, "overlap.where(covered.any(-1), torch.nan)", "overlap", SCORES),
    Mutant(MAPS, "regions.where(present[:, :, None], torch.nan).nanmean(0)", "regions.mean(0)", SCORES),
    Mutant(MAPS, "usual = regions.mean(0)", "usual = shown", SCORES),
    Mutant(MAPS, "_distributions(usual.mean(0))", "_distributions(usual).mean(0)", SCORES),
    Mutant(MAPS, ".masked_fill(torch.eye(len(across), dtype=torch.bool), 0)", "", SCORES),
    Mutant(MAPS, "shown @ _distributions(usual).T", "_distributions(usual) @ shown.T", SCORES),
    Mutant(MAPS, "mean((0, 2)) for", "mean() for", SCORES),
    Mutant(MAPS, "within_cosine(refined)", "within_cosine(maps)", SCORES),
    Mutant(MAPS, "relative_change(maps, refined)", "relative_change(refined, maps)", SCORES),
    Mutant(MAPS, "centred = attention - mean", "centred = attention", SCORES),
    Mutant(MAPS, "length > _FLAT * mean.abs()", "length > 0 * mean.abs()", SCORES),
    Mutant(MAPS, "* attention.shape[-1] ** 0.5", "* attention.shape[-1] ** 2", SCORES),
    Mutant(MAPS, "(unit @ unit.T) / (defined @ defined.T)", "(unit @ unit.T) / defined.shape[1]", SCORES),
    Mutant(MEASURES, "/ before.norm(dim=3).clamp_min(1e-6)", "/ after.norm(dim=3).clamp_min(1e-6)", SCORES),
    Mutant(ARMS, "ttest_1samp(differences, 0)", "ttest_ind(first, second)", CONTRASTS),
    Mutant(ARMS, "nan_to_num(test.pvalue, nan=1.0)", "float64(test.pvalue)", CONTRASTS),
    Mutant(ARMS, "differences[square].mean(where=different[square])", "differences[square].mean()", CONTRASTS),
    Mutant(ARMS, "differences[square].mean(1, where=different[square])", "differences[square].mean(1)", CONTRASTS),
    Mutant(ARMS, "_log_deviation(second[rows])", "_log_deviation(second)", CONTRASTS),
    Mutant(ARMS, "(moves_a - moves_b).std()", "1.0", CONTRASTS),
    Mutant(ARMS, "each_with_others(rows).std()", "1.0", CONTRASTS),
    Mutant(ARMS, "np.log(squares.mean()) / 2, ", "np.log(squares.mean()), ", CONTRASTS),
    Mutant(ARMS, "(float(np.exp(value)) for", "(float(value) for", CONTRASTS),
    Mutant(ARMS, "effect, low, high, p = _bootstrap(log_ratio, len(first), draws, seed)",
           "effect, low, high, p = _bootstrap(log_ratio, len(first), draws, 0)", CONTRASTS),
    Mutant(ARMS, "if seeds < 5:", "if seeds < 4:", CONTRASTS),
    Mutant(ARMS, "len(np.unique(row)) > 2", "len(np.unique(row)) > 0", CONTRASTS),
    Mutant(ARMS, "found[:, 0] - value", "found[:, 0]", CONTRASTS),
    Mutant(ARMS, "value - scores[-tail] * error", "value + scores[tail - 1] * error", CONTRASTS),
    Mutant(ARMS, "int(LEVEL / 2 *", "int(LEVEL *", CONTRASTS),
    Mutant(ARMS, "beyond = 1 + min", "beyond = min", CONTRASTS),
    Mutant(ARMS, "np.where(np.isnan(score), 0, score)", "score", CONTRASTS),
    Mutant(ARMS, "(len(contrasts) - before) * contrast.p", "len(contrasts) * contrast.p", CONTRASTS),
    Mutant(ARMS, "max(largest, min(1.0, (", "max(0.0, min(1.0, (", CONTRASTS),
    Mutant(ARMS, "largest < LEVEL and (", "(", CONTRASTS),
    Mutant(ARMS, "(contrast.low > contrast.null or contrast.high < contrast.null)", "True", CONTRASTS),
    Mutant(ARMS, "contrast.low > contrast.null or", "contrast.low > 0 or", CONTRASTS),
    Mutant(ARMS, "seeds < 2 or ", "", CONTRASTS),
]  # fmt: skip
