"""Intervals against simulated truth, the Holm correction by hand, and verdicts on contrasts."""

import numpy as np
import pytest

from sma_models.ablation.contrasts import (
    FIXED,
    ArmMeasures,
    Contrast,
    estimate,
    factorial_effects,
    fixed_contrasts,
    verdict,
)
from sma_models.ablation.statistics import (
    Estimate,
    agreement_matrix,
    holm,
    pair_pseudo_values,
    paired,
    spread_ratio,
)


def coverage(draw, truth, repeats=400):
    """Share of intervals that contain the truth, for estimates on fresh data."""
    rng = np.random.default_rng(0)
    estimates = [draw(rng) for _ in range(repeats)]
    return np.mean([one.low <= truth <= one.high for one in estimates])


@pytest.mark.parametrize("seeds", (6, 20))
def test_intervals_hold_the_truth_as_often_as_they_say(seeds):
    assert 0.92 < coverage(lambda rng: paired(rng.normal(0.3, 1, seeds)), 0.3) < 0.98
    assert 0.925 < coverage(lambda rng: spread_ratio(2 * rng.normal(size=seeds), rng.normal(size=seeds)), 2) < 0.98


@pytest.mark.parametrize("seeds", (6, 20))
def test_agreement_counts_seeds_and_not_pairs(seeds):
    """Pairs share seeds: if they were treated as independent, the interval would contain the truth only half of the time."""

    def agreement(rng):
        effects, noise = rng.normal(size=seeds), rng.normal(size=(seeds, seeds))
        return 0.5 + effects[:, None] + effects + 0.1 * (noise + noise.T)

    assert 0.92 < coverage(lambda rng: paired(pair_pseudo_values(agreement(rng))), 0.5) < 0.985

    def pairs(rng):
        return paired(agreement(rng)[np.triu_indices(seeds, 1)])

    assert coverage(pairs, 0.5) < 0.85


def test_pseudo_values_have_the_mean_of_pairs():
    matrix = np.array([[9, 1, 2, 3], [1, 9, 4, 5], [2, 4, 9, 6], [3, 5, 6, 9]], float)
    values = pair_pseudo_values(matrix)
    assert values.mean() == pytest.approx(3.5)
    # Without the last seed, the pairs are 1, 2 and 4.
    assert values[3] == pytest.approx(4 * 3.5 - 3 * 7 / 3)
    with pytest.raises(ValueError, match="at least three seeds; got 2"):
        pair_pseudo_values(matrix[:2, :2])


def test_agreement_is_the_correlation_over_positions():
    one = np.arange(12.0).reshape(1, 1, 3, 4)
    matrix = agreement_matrix(np.stack([one, 5 * one + 3, -one, np.ones_like(one)]))
    assert matrix[0, :3] == pytest.approx([1, 1, -1])
    assert matrix[3] == pytest.approx(0)
    # Rounding errors between equal values are not a contrast.
    flat = np.nextafter(np.float16(1), np.float16(2 * (np.arange(12) % 2))).reshape(1, 1, 3, 4)
    assert agreement_matrix(np.stack([flat, flat]))[0, 1] == 0
    two = np.concatenate([one, one[:, :, ::-1]]), np.concatenate([one, one])
    expected = (1 + np.corrcoef(one[0, 0, ::-1].ravel(), one.ravel())[0, 1]) / 2
    assert agreement_matrix(np.stack(two))[0, 1] == pytest.approx(expected)


def test_paired_differences_by_hand():
    estimate = paired(np.array([1.0, 2.0, 3.0]))
    # t for 2 degrees of freedom at 97.5 % is 4.302653.
    assert (estimate.value, estimate.seeds) == (2, 3) and estimate.effect == pytest.approx(2)
    assert estimate.low == pytest.approx(2 - 4.302653 / 3**0.5) and estimate.high == pytest.approx(
        2 + 4.302653 / 3**0.5
    )
    for same in (paired(np.array([0.5, 0.5])), paired(np.array([0.5]))):
        assert same.value == 0.5 and np.isnan([same.low, same.p, same.effect]).all()


def test_ratio_of_spreads_leaves_seeds_out_of_both_arms_together():
    rng = np.random.default_rng(3)
    values = rng.normal(size=20)
    close = 2 * values + 0.01 * rng.normal(size=20)
    estimate = spread_ratio(close, values)
    assert estimate.value == pytest.approx(2, abs=0.01) and 1.98 < estimate.low < estimate.value < estimate.high < 2.02
    assert estimate.p < 0.001
    apart = spread_ratio(rng.permutation(close), values)
    assert apart.value == pytest.approx(estimate.value) and apart.high - apart.low > 10 * (estimate.high - estimate.low)
    first, second = np.array([1.0, 2, 4, 8, 16]), np.array([1.0, 4, 2, 6, 3])
    logs = [np.log(np.delete(first, i).std(ddof=1) / np.delete(second, i).std(ddof=1)) for i in range(5)]
    pseudo = 5 * np.log(first.std(ddof=1) / second.std(ddof=1)) - 4 * np.array(logs)
    # t for 4 degrees of freedom at 97.5 % is 2.776445.
    half = 2.776445 * pseudo.std(ddof=1) / 5**0.5
    by_hand = spread_ratio(first, second)
    assert [by_hand.low, by_hand.high] == pytest.approx(np.exp([pseudo.mean() - half, pseudo.mean() + half]), rel=1e-6)
    assert np.isnan(spread_ratio(values[:4], values[4:8]).p), "four seeds are too few"
    assert np.isnan(spread_ratio(values, np.ones(20)).value)


def test_holm_steps_down():
    # The smallest is multiplied by 3, the next by 2, the largest by 1, and none may fall below the one before it.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.5]) == [1, 1]
    # Planned contrasts that could not be tested still count.
    corrected = holm([0.01, np.nan])
    assert corrected[0] == pytest.approx(0.02) and np.isnan(corrected[1])


def test_what_may_be_said():
    def verdict_of(low, high, adjusted, neutral=0.0):
        return verdict(Estimate((low + high) / 2, low, high, 0.01, 1, 20), adjusted, neutral)

    assert verdict_of(0.1, 0.3, 0.04) == "more" and verdict_of(-0.3, -0.1, 0.04) == "less"
    assert verdict_of(0.1, 0.3, 0.05) == verdict_of(-0.1, 0.3, 0.04) == verdict_of(0.1, 0.3, np.nan) == "not shown"
    assert verdict_of(0.5, 0.9, 0.04, neutral=1) == "less" and verdict_of(0.5, 1.1, 0.04, neutral=1) == "not shown"


def arms(seeds=20, **shifts):
    """Runs whose arms share a random effect per seed, ten times as large as their differences."""
    rng = np.random.default_rng(5)
    luck = rng.normal(0, 0.1, seeds)
    maps = rng.random((seeds, 2, 2, 3, 3))
    runs = {}
    for name in ("wide", "own", "diversity", "correlation", "both"):
        score = 0.5 + luck + shifts.get(name, 0) + rng.normal(0, 0.002, seeds)
        runs[name] = ArmMeasures({"f1": score, "auc": score, "energy": score}, maps)
    return runs


def test_pairing_shows_what_luck_would_hide():
    rows = {(row["number"], row["measure"]): row for row in fixed_contrasts(arms(diversity=0.01, both=0.01))}
    assert rows[2, "f1"]["verdict"] == rows[3, "energy"]["verdict"] == "more"
    assert rows[2, "f1"]["value"] == pytest.approx(0.01, abs=0.002) and rows[2, "f1"]["p_holm"] > rows[2, "f1"]["p"]
    assert rows[4, "f1"]["verdict"] == rows[1, "agreement"]["verdict"] == "not shown"
    # Synthetic faces have no single accuracy, and real ones no AUC: metrics that are not measured are not in the family.
    assert len(rows) == 8 and len(FIXED) == 10


def test_agreement_contrast_is_between_arms():
    runs = arms()
    face = np.arange(9.0).reshape(3, 3)
    runs["both"].maps = np.broadcast_to(face, (20, 2, 2, 3, 3)) + 0.1 * runs["wide"].maps
    row = fixed_contrasts(runs)[0]
    assert (row["measure"], row["verdict"]) == ("agreement", "more") and row["value"] > 0.8
    runs["wide"].maps = None
    assert estimate(Contrast(1, "agreement", "both", "wide"), runs) is None


def test_main_effects_of_the_factorial():
    effects = {
        row["name"]: row for row in factorial_effects(arms(diversity=0.02, correlation=0.06, both=0.10), ("f1",))
    }
    assert effects["diversity"]["value"] == pytest.approx(0.03, abs=0.002)
    assert effects["correlation"]["value"] == pytest.approx(0.07, abs=0.002)
    assert effects["interaction"]["value"] == pytest.approx(0.02, abs=0.004)
