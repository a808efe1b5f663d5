"""Labels of the synthetic faces: published rates and correlations, exclusion, an uncorrelated mode."""

import numpy as np
import pytest

from sma_models.synthetic import AUS, SyntheticFaces
from sma_models.synthetic.labels import sample_intensities

# Written out rather than imported: the published figures that the package must meet.
RATES = dict(
    zip(
        AUS,
        (0.21, 0.17, 0.20, 0.46, 0.55, 0.04, 0.59, 0.56, 0.47, 0.17, 0.34, 0.17, 0.15, 0.28, 0.09),
        strict=True,
    )
)
PHI = {
    (1, 2): 0.50,
    (6, 12): 0.54,
    (6, 7): 0.54,
    (10, 12): 0.53,
    (6, 10): 0.50,
    (17, 24): 0.42,
    (7, 10): 0.39,
    (12, 25): 0.46,
    (25, 26): 0.31,
    (4, 9): 0.34,
    (4, 12): -0.26,
}
COUNT = 20_000


def column(au):
    return AUS.index(au)


@pytest.fixture(scope="module", params=["correlated", "independent"])
def faces(request):
    return SyntheticFaces(COUNT, seed=7, mode=request.param)


def test_action_units_are_the_fifteen_of_the_table():
    assert AUS == (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26)


def test_base_rates_in_both_modes(faces):
    measured = faces.all_labels().mean(axis=0)
    for au, rate in RATES.items():
        assert abs(measured[column(au)] - rate) < 0.03, f"AU{au}: {measured[column(au)]:.3f}, published {rate}"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_correlations(seed):
    phi = np.corrcoef(SyntheticFaces(COUNT, seed=seed).all_labels().T)
    for (a, b), target in PHI.items():
        assert abs(phi[column(a), column(b)] - target) < 0.1, f"{a}-{b}: {phi[column(a), column(b)]:.3f}, {target}"


def test_independent_mode_keeps_no_correlation_but_the_exclusion():
    # Many labels, because uncorrected exclusion by AU24 would correlate AU25 and AU26 by only .05.
    phi = np.corrcoef(SyntheticFaces(200_000, seed=3, mode="independent").all_labels().T)
    np.fill_diagonal(phi, 0.0)
    pressed, parted = column(24), [column(25), column(26)]
    assert (phi[pressed, parted] < -0.1).all()
    phi[pressed, parted] = phi[parted, pressed] = 0.0
    assert np.abs(phi).max() < 0.02


def test_pressed_lips_never_part(faces):
    levels = faces.all_intensities()
    pressed = levels[:, column(24)] > 0
    assert pressed.any()
    assert not levels[pressed][:, [column(25), column(26)]].any()


def test_intensities_run_from_0_to_5_and_label_from_2(faces):
    levels = faces.all_intensities()
    assert levels.dtype == np.int8
    assert levels.shape == (COUNT, len(AUS))
    for k in range(len(AUS)):
        assert set(np.unique(levels[:, k])) == {0, 1, 2, 3, 4, 5}
    assert np.array_equal(faces.all_labels(), levels >= 2)
    assert np.array_equal(faces.labels(11), levels[11] >= 2)


def test_one_label_agrees_with_all_labels(faces):
    levels = faces.all_intensities()
    for index in (0, 1, 99, 12_345, COUNT - 1):
        assert np.array_equal(faces.intensities(index), levels[index])


def test_rows_do_not_depend_on_their_neighbors():
    indices = np.arange(500)
    whole = sample_intensities("correlated", 5, indices % 7, indices)
    backwards = sample_intensities("correlated", 5, (indices % 7)[::-1], indices[::-1])
    assert np.array_equal(whole, backwards[::-1])


def test_images_of_one_subject_and_of_neighbors_are_not_alike():
    levels = SyntheticFaces(COUNT, seed=4, subjects=50).all_intensities().astype(float)
    for lag in (1, 50):
        for k in range(len(AUS)):
            assert abs(np.corrcoef(levels[:-lag, k], levels[lag:, k])[0, 1]) < 0.04


def test_seed_and_subjects_change_the_labels():
    reference = SyntheticFaces(300, seed=1).all_intensities()
    assert (SyntheticFaces(300, seed=2).all_intensities() != reference).any(axis=1).mean() > 0.9
    assert (SyntheticFaces(300, seed=1, first_subject=100).all_intensities() != reference).any(axis=1).mean() > 0.9
