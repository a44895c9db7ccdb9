import numpy as np
import pytest

from calibration.maps.electrode_choice import choose_electrodes
from calibration.maps.electrodes import electrode_preference, explained, kernel_alpha, leave_one_out
from calibration.maps.readout import Units, make_units, read_out
from calibration.model.whitening import noise_covariance, whitening_matrix
from configs.schema import FitSettings
from tests.support.calibration_examples import as_examples, layout_of, make_trials
from tests.support.simulated_epochs import (
    CHANNELS,
    DRIVEN,
    TIMES_S,
    designs_of,
    gains,
    latency_s,
    make_examples,
    units_of,
)

NAMES = (*DRIVEN, "lot")


@pytest.fixture(scope="module")
def units():
    return units_of(make_examples(snr=2.0))


@pytest.fixture(scope="module")
def truth(units):
    return gains(units.names)


@pytest.fixture(scope="module")
def found(units):
    return electrode_preference(units, TIMES_S, CHANNELS, NAMES, designs_of(units), permutations=100)


@pytest.mark.parametrize("place", range(len(DRIVEN)))
def test_the_electrodes_that_answer_most_carry_most(found, truth, place):
    truth = truth[:, place]
    assert np.corrcoef(np.maximum(found.alone[:, place], 0), truth)[0, 1] > 0.8
    best = np.argmax(found.alone[:, place])
    assert truth[best] >= 0.7 * truth.max()
    assert found.p[best, place] <= 0.05
    assert found.alone_low[best, place] > 0
    assert found.latency_s[best, place] == pytest.approx(latency_s(DRIVEN[place]), abs=0.02)
    assert found.latency_low_s[best, place] <= found.latency_s[best, place] <= found.latency_high_s[best, place]


def test_nothing_is_found_where_nothing_was_simulated(found):
    assert (found.p[:, NAMES.index("lot")] > 0.05).all()
    assert np.isnan(found.latency_s[:, NAMES.index("lot")]).all()
    assert "lot" not in found.preferred
    assert found.preferred[CHANNELS.index("Fz")] is None
    assert set(found.preferred) <= {*DRIVEN, None}


def test_an_electrode_prefers_what_it_answers_most(found, truth):
    first, second = np.sort(truth**2, axis=1)[:, :-3:-1].T
    clear = np.flatnonzero((first > 2 * second) & (first > 0.1 * first.max()))
    assert len(clear) >= 5
    expected = [DRIVEN[place] for place in truth[clear].argmax(axis=1)]
    assert [found.preferred[row] for row in clear] == expected
    assert len(set(expected)) >= 2


def test_false_findings_come_at_the_nominal_rate():
    seeds, wrong = 100, 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        samples = rng.standard_normal((60, 10, 3)).cumsum(axis=1) @ rng.standard_normal((3, 3))
        units = Units(samples, np.arange(60).astype(str), rng.permutation(60) % 5, np.zeros(60, np.int64), 60)
        lot = rng.standard_normal((60, 2))
        found = read_out(list(units.samples.transpose(2, 0, 1)), [lot], units, permutations=39, seed=seed, resamples=1)
        wrong += bool((found.p <= 0.05).any())
    # Twelve or more of a hundred at a rate of 0.05 happen once in 200 times, none at all once in 170.
    assert 1 <= wrong <= 11


def test_the_loss_is_that_of_a_map_without_the_electrode():
    trials, targets = make_trials(n_pictures=40, repeats=1)
    units = make_units(as_examples(trials, targets), layout_of(trials), FitSettings())
    design = targets.of(units.names).astype(float)[:, :2]
    together, loss, low, high = leave_one_out(units.samples, [design], units, seed=0)
    expected = np.empty((2, *design.shape))
    for fold in np.unique(units.folds):
        train = units.folds != fold
        covariance = noise_covariance(units.samples[train])
        level = design[train].mean(axis=0)
        centred = units.samples - units.samples[train].mean(axis=0)
        alpha = None
        for row, kept in enumerate(([0, 1, 2, 3], [0, 1, 3])):
            root = whitening_matrix(covariance[np.ix_(kept, kept)])
            x = (centred[:, :, kept] @ root).reshape(len(units), -1)
            values, vectors = np.linalg.eigh(x[train] @ x[train].T)
            if alpha is None:
                alpha = kernel_alpha(np.maximum(values, 0), vectors.T @ (design[train] - level), x.shape[1])
            weights = np.linalg.solve(
                x[train].T @ x[train] + alpha * np.eye(x.shape[1]), x[train].T @ (design[train] - level)
            )
            expected[row, ~train] = x[~train] @ weights + level
    wanted = [within_folds(rows, design, units.folds) for rows in expected]
    assert together[0] == pytest.approx(wanted[0], abs=1e-6)
    assert loss[2, 0] == pytest.approx(wanted[0] - wanted[1], abs=1e-6)
    assert (low <= loss).all()
    assert (loss <= high).all()


def within_folds(predicted, truth, folds):
    a, b = predicted.copy(), truth.copy()
    for fold in np.unique(folds):
        a[folds == fold] -= a[folds == fold].mean(axis=0)
        b[folds == fold] -= b[folds == fold].mean(axis=0)
    return np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))


def test_explained_variance_is_that_of_a_regression_on_drawn_units():
    rng = np.random.default_rng(0)
    y, design = rng.standard_normal((30, 5)), rng.standard_normal((30, 2))
    weights = rng.multinomial(30, np.full(30, 1 / 30))
    rows = np.repeat(np.arange(30), weights)
    x = np.c_[np.ones(30), design[rows]]
    left = y[rows] - x @ np.linalg.lstsq(x, y[rows], rcond=None)[0]
    np.testing.assert_allclose(explained(y, [design], weights)[0], 1 - left.var(axis=0) / y[rows].var(axis=0))


def test_the_electrodes_that_hold_the_signal_are_chosen_first():
    trials, targets = make_trials(n_pictures=80, repeats=1, signal=0.0)
    told = targets.of(trials.names) - 3
    for channel, first, dim in ((2, 10, 11), (2, 20, 10), (0, 10, 9), (0, 20, 8)):
        trials.samples[:, first : first + 10, channel] += 12 * told[:, dim : dim + 1] * np.hanning(10)
    units = make_units(as_examples(trials, targets), layout_of(trials), FitSettings())
    choice = choose_electrodes(units, 50.0, trials.spec.channels, targets.gallery, most=3)
    assert set(choice.order[:2]) == {"O1", "O2"}
    assert choice.agreement[1] >= 0.9
    assert choice.kind == "two_way"
    assert [part.at for part in choice.curve] == [1, 2, 3]
    assert choice.curve[1].score > choice.curve[0].score
    assert choice.curve[1].low > 0.5
    assert choice.everything.at == 4
    assert choice.n_units == 80
