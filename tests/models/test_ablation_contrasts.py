"""Contrasts against values by hand and against simulated truth: an interval of 95 % holds it about that often."""

import math

import numpy as np
import pytest

from sma_models.ablation.contrasts import Contrast, agreement_contrast, holm, paired, spread_ratio

NAN = math.nan


def agreements(generator, seeds):
    """Agreement of initialisations of which some find the place and some hardly do: rows differ, pairs depend."""
    noise = generator.normal(size=(seeds, 30)) * generator.uniform(0.5, 2, size=(seeds, 1))
    return np.corrcoef(np.linspace(0, 3, 30) + noise)


def correlated(generator, seeds):
    """A measure of two arms with equal spreads, whose pairs correlate by a half."""
    shared, *own = generator.normal(size=(3, seeds))
    return [shared + each for each in own]


def test_paired_differences_by_hand():
    found = paired("F1", [2.0, 4.0, 6.0, 8.0], [1.0, 2.0, 3.0, 4.0])
    # Mean 2.5 and deviation 1.291 of four: t = 3.873 with three degrees of freedom, of which 3.182 is the quantile.
    assert found.name == "F1" and found.difference == 2.5 and found.null == 0
    assert (found.low, found.high) == pytest.approx((2.5 - 3.1824 * 0.6455, 2.5 + 3.1824 * 0.6455), abs=1e-3)
    assert found.effect == pytest.approx(2.5 / 1.29099, abs=1e-4)
    assert found.p == pytest.approx(0.0305, abs=1e-4)


def test_a_ratio_of_spreads_by_hand():
    treatment, control = [0.0, 2.0, 4.0, 6.0, 9.0, 1.0], [0.0, 1.0, 2.5, 3.0, 4.0, 7.0]
    found = spread_ratio("spread", treatment, control)
    ratio = np.std(treatment, ddof=1) / np.std(control, ddof=1)
    assert (found.difference, found.effect, found.null) == pytest.approx((ratio, np.log(ratio), 1))
    assert found.low < ratio < found.high


def test_a_difference_of_agreement_by_hand():
    treatment, control = np.ones((2, 3, 3))
    treatment[0, 1] = treatment[1, 0] = 0.9
    treatment[0, 2] = treatment[2, 0] = 0.8
    treatment[1, 2] = treatment[2, 1] = 0.4
    control[~np.eye(3, dtype=bool)] = 0.2
    found = agreement_contrast("agreement", treatment, control)
    assert found.difference == pytest.approx(0.7 - 0.2)
    # Each seed's mean with the others: 0.65, 0.45 and 0.4 above the control's.
    assert found.effect == pytest.approx(0.5 / np.std([0.65, 0.45, 0.4], ddof=1))


@pytest.mark.parametrize("contrast", ["paired", "agreement", "spread"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(contrast):
    generator = np.random.default_rng(5)
    seeds, repeats = 6, 150
    compare, sample = {
        "paired": (paired, correlated),
        "agreement": (
            lambda *arms: agreement_contrast(*arms, draws=200),
            lambda *size: [agreements(*size) for _ in range(2)],
        ),
        "spread": (lambda *arms: spread_ratio(*arms, draws=200), correlated),
    }[contrast]
    found = [compare(contrast, *sample(generator, seeds)) for _ in range(repeats)]
    held = np.mean([each.low <= each.null <= each.high for each in found])
    assert 0.92 <= held <= 0.985
    # The test and the interval are one statement.
    assert all((each.p > 0.05) == (each.low <= each.null <= each.high) for each in found)


def test_both_arms_are_drawn_alike():
    generator = np.random.default_rng(6)
    values, noise = generator.normal(size=(2, 8))
    doubled = spread_ratio("spread", 2 * values + 1e-3 * noise, values)
    assert (doubled.low, doubled.difference, doubled.high) == pytest.approx((2, 2, 2), abs=0.01)
    square, noise = agreements(generator, 8), agreements(generator, 8)
    # Nor is a seed compared with itself: that would put the difference of 0 on the diagonal between the others.
    above = agreement_contrast("agreement", square + 0.5 * (1 - np.eye(8)) + 1e-3 * noise, square)
    assert (above.low, above.difference, above.high) == pytest.approx((0.5, 0.5, 0.5), abs=0.01)


def test_what_a_seed_has_with_itself_counts_nowhere():
    generator = np.random.default_rng(11)
    treatment, control = agreements(generator, 6), agreements(generator, 6)
    expected = agreement_contrast("x", treatment, control)
    assert agreement_contrast("x", treatment + 7 * np.eye(6), control) == expected


@pytest.mark.parametrize("compare", [spread_ratio, agreement_contrast])
def test_exchanged_arms_turn_the_interval_round(compare):
    generator = np.random.default_rng(7)
    first, second = generator.normal(size=(2, 9)) if compare is spread_ratio else (agreements(generator, 9), np.eye(9))
    there, back = compare("x", first, second), compare("x", second, first)
    turned = (lambda value: 1 / value) if compare is spread_ratio else (lambda value: -value)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (turned(there.difference), turned(there.high), turned(there.low))
    )
    assert back.p == there.p and back.effect == pytest.approx(-there.effect)


def test_draws_repeat_with_their_seed():
    arms = np.random.default_rng(8).normal(size=(2, 7))
    assert spread_ratio("x", *arms) == spread_ratio("x", *arms) != spread_ratio("x", *arms, seed=1)


def test_a_large_difference_has_no_p_of_zero():
    generator = np.random.default_rng(9)
    found = agreement_contrast("x", agreements(generator, 12), np.eye(12), draws=500)
    assert found.low > 0 and 0 < found.p <= 2 / 490


@pytest.mark.parametrize("compare", [paired, spread_ratio])
def test_arms_that_are_copies_do_not_differ(compare):
    found = compare("x", np.arange(6.0), np.arange(6.0))
    assert found.low == found.difference == found.high == found.null and found.p == 1 and found.effect == 0


def test_an_agreement_with_itself_does_not_differ():
    square = agreements(np.random.default_rng(10), 6)
    found = agreement_contrast("x", square, square)
    assert found.low == found.difference == found.high == 0 and found.p == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "undefined",
    [
        paired("x", [1.0, NAN, 2.0, 4.0, 5.0], np.zeros(5)),
        spread_ratio("x", [1.0, NAN, 2.0, 4.0, 5.0], np.arange(5.0)),
        spread_ratio("x", np.arange(5.0), np.zeros(5)),
        agreement_contrast("x", np.full((5, 5), NAN), np.eye(5)),
        agreement_contrast("x", *np.random.default_rng(0).normal(size=(2, 4, 4))),
        spread_ratio("x", *np.random.default_rng(0).normal(size=(2, 4))),
    ],
)
def test_what_is_undefined_is_not_shown(undefined):
    sure = Contrast("sure", 1.0, 0.9, 1.1, effect=9.0, p=0.001)
    first, second = holm([undefined, sure])
    assert math.isnan(first.low) and math.isnan(first.high)
    assert first.p == 1 and first.verdict == "not shown"
    assert second.p == 0.002 and second.verdict == "shown"


def test_holm_multiplies_from_the_smallest_on_and_keeps_the_order():
    contrasts = [Contrast(str(p), 1.0, 0.5, 1.5, effect=1.0, p=p) for p in (0.01, 0.04, 0.03, 0.005)]
    found = holm(contrasts)
    assert [each.name for each in found] == ["0.01", "0.04", "0.03", "0.005"]
    # 3·0.01, then no less than 2·0.03 though 1·0.04 is less, and 4·0.005.
    assert [each.p for each in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [each.verdict for each in found] == ["shown", "not shown", "not shown", "shown"]
    assert holm([Contrast("large", 0.0, -1.0, 1.0, effect=0.0, p=0.7)] * 2)[0].p == 1


@pytest.mark.parametrize(
    ("low", "high", "null", "verdict"),
    [
        (0.1, 0.3, 0.0, "shown"),
        (-0.3, -0.1, 0.0, "shown"),
        (-0.1, 0.3, 0.0, "not shown"),
        (0.0, 0.3, 0.0, "not shown"),
        (0.7, 1.2, 1.0, "not shown"),
        (0.5, 0.9, 1.0, "shown"),
    ],
)
def test_nothing_is_shown_whose_interval_holds_the_null(low, high, null, verdict):
    contrast = Contrast("x", (low + high) / 2, low, high, effect=1.0, p=0.01, null=null)
    assert contrast.verdict == "not shown"
    assert holm([contrast])[0].verdict == verdict


@pytest.mark.parametrize("compare", [paired, spread_ratio, agreement_contrast])
@pytest.mark.parametrize("shapes", [((3,), (4,)), ((1,), (1,)), ((2, 3), (2, 3)), ((), ()), ((1, 1), (1, 1))])
def test_arms_that_are_no_pairs_are_named(compare, shapes):
    expected = r"\[S,S\]" if compare is agreement_contrast else r"\[S\]"
    with pytest.raises(
        ValueError, match=rf"^F1: treatment and control must be {expected} both, of at least 2 seeds; got"
    ):
        compare("F1", *(np.ones(shape) for shape in shapes))
