import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from calibration.errors import RidgeError
from calibration.model.folds import grouped_folds
from calibration.model.moments import AlphaPath, Moments
from calibration.model.ridge import fit_ridge, held_out_along, held_out_path, influence, solve_ridge

ALPHAS = [0.1, 1.0, 10.0, 100.0, 1000.0]
SHAPES = [(40, 5, 3), (60, 60, 4), (61, 60, 1), (59, 60, 2), (30, 200, 7), (8, 500, 2), (300, 40, 64)]


def problem(n, features, targets, seed=0, offset=3.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features)) * rng.uniform(0.5, 2, features) + offset
    y = x @ rng.standard_normal((features, targets)) / np.sqrt(features) + 2 * rng.standard_normal((n, targets)) - 5
    return x, y


def by_hand(x, y, folds, alphas):
    """The same search with scikit-learn: held-out predictions and error for each alpha."""
    held_out = np.empty((len(alphas), *y.shape))
    for number, alpha in enumerate(alphas):
        for fold in np.unique(folds):
            test = folds == fold
            held_out[number, test] = Ridge(alpha).fit(x[~test], y[~test]).predict(x[test]).reshape(-1, y.shape[1])
    errors = np.mean(((held_out - y) / y.std(axis=0)) ** 2, axis=(1, 2))
    return held_out, errors


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_scikit_learn_in_every_shape(shape, dtype):
    x, y = problem(*shape)
    x, y = x.astype(dtype), y.astype(dtype)
    folds = grouped_folds(np.arange(len(x)) // 2, 4, seed=1)
    fit = fit_ridge(x, y, folds, ALPHAS)
    held_out, errors = by_hand(x.astype(np.float64), y.astype(np.float64), folds, ALPHAS)
    best = int(np.argmin(errors))
    reference = Ridge(ALPHAS[best]).fit(x.astype(np.float64), y.astype(np.float64))
    assert fit.alpha == ALPHAS[best]
    np.testing.assert_allclose(fit.errors, errors, rtol=1e-8)
    np.testing.assert_allclose(fit.held_out, held_out[best], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(fit.weights, reference.coef_.reshape(shape[2], -1).T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fit.intercept, reference.intercept_, rtol=1e-6, atol=1e-9)


def test_survives_a_large_common_offset():
    x, y = problem(200, 30, 4)
    folds = grouped_folds(np.arange(200), 5, seed=0)
    plain, moved = fit_ridge(x, y, folds, ALPHAS), fit_ridge(x + 1e6, y + 1e4, folds, ALPHAS)
    assert moved.alpha == plain.alpha
    np.testing.assert_allclose(moved.held_out - 1e4, plain.held_out, atol=1e-5)


def test_constant_features_and_targets_do_no_harm():
    x, y = problem(50, 12, 3)
    x[:, 4], y[:, 1] = 7.0, -2.0
    fit = fit_ridge(x, y, grouped_folds(np.arange(50), 5, seed=0), ALPHAS)
    assert np.all(np.abs(fit.weights[4]) < 1e-10)
    np.testing.assert_allclose(fit.held_out[:, 1], -2.0)
    assert np.all(np.isfinite(fit.errors))


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 6), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_moments_merge_and_remove_exactly(seed, n_first, features, n_second):
    x, y = problem(n_first + n_second, features, 2, seed=seed)
    whole = Moments.of(x, y)
    first, second = Moments.of(x[:n_first], y[:n_first]), Moments.of(x[n_first:], y[n_first:])
    for got, expected in ((first + second, whole), (whole - second, first)):
        assert got.n == expected.n
        for name in ("mean_x", "mean_y", "gram", "cross", "power"):
            np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-8, atol=1e-8)


def test_blocks_added_one_by_one_give_the_map_of_all():
    x, y = problem(120, 20, 3)
    grown = Moments.of(x[:40], y[:40])
    for start in (40, 80):
        grown = grown + Moments.of(x[start : start + 40], y[start : start + 40])
    weights, intercept = AlphaPath(grown).solve(10.0)
    reference = Ridge(10.0).fit(x, y)
    np.testing.assert_allclose(weights, reference.coef_.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(intercept, reference.intercept_, rtol=1e-8)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=80), st.integers(2, 8), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_group_is_never_on_both_sides(groups, n_folds, seed):
    if len(set(groups)) < 2:
        with pytest.raises(RidgeError, match="two groups"):
            grouped_folds(groups, n_folds, seed)
        return
    folds = grouped_folds(groups, n_folds, seed)
    assert all(len({fold for fold, own in zip(folds, groups, strict=True) if own == group}) == 1 for group in groups)
    assert set(folds) == set(range(min(n_folds, len(set(groups)))))


def test_folds_are_balanced_and_seeded():
    groups = np.repeat(np.arange(100), 4)
    folds = grouped_folds(groups, 5, seed=3)
    assert np.bincount(folds).tolist() == [80] * 5
    assert np.array_equal(folds, grouped_folds(groups, 5, seed=3))
    assert not np.array_equal(folds, grouped_folds(groups, 5, seed=4))
    assert len(np.unique(grouped_folds(["a", "b", "a"], 5, seed=0))) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros((9, 2))}, r"must be \[n, features\]"),
        ({"folds": np.zeros(10, dtype=np.int64)}, "at least two folds"),
        ({"alphas": [0.0, 1.0]}, "positive"),
        ({"x": np.full((10, 3), np.nan)}, "samples must be finite"),
        ({"y": np.full((10, 2), np.inf)}, "targets must be finite"),
    ],
)
def test_says_what_is_wrong(change, message):
    given = {"x": np.zeros((10, 3)), "y": np.zeros((10, 2)), "folds": np.arange(10) % 2, "alphas": [1.0]} | change
    with pytest.raises(RidgeError, match=message):
        fit_ridge(**given)


@pytest.mark.parametrize("shape", SHAPES[1:6], ids=str)
@pytest.mark.parametrize("own", [True, False], ids=["the trials themselves", "others"])
def test_what_is_held_out_is_predicted_as_by_a_fit_without_its_fold(shape, own):
    x, y = problem(*shape)
    folds = grouped_folds(np.arange(len(x)), 4, seed=1)
    seen = x.astype(np.float32)
    unseen, of_fold = (seen, folds) if own else (seen[::2] + 1, folds[::2])
    along = held_out_along(seen, y, folds, 10.0, unseen, of_fold)
    for fold in np.unique(of_fold):
        weights = Ridge(10.0).fit(x[folds != fold], y[folds != fold]).coef_.reshape(y.shape[1], -1).T
        reference = unseen[of_fold == fold].astype(float) @ weights
        scale = float(np.abs(reference).max())
        np.testing.assert_allclose(along[of_fold == fold], reference, atol=5e-6 * scale + 1e-6)


@pytest.mark.parametrize("features", [20, 90], ids=["folds larger than features", "folds smaller than features"])
def test_the_whole_path_is_held_out_as_by_fits_without_each_fold(features):
    x, y = problem(160, features, 4)
    folds = grouped_folds(np.arange(160), 4, seed=1)
    rows, alphas = np.flatnonzero(np.arange(160) % 3 == 0), [0.1, 10.0, 1e4]
    told = list(held_out_path(x.astype(np.float32), y, folds, alphas, rows))
    for alpha, (error, predicted) in zip(alphas, told, strict=True):
        reference = np.empty_like(y)
        for fold in np.unique(folds):
            reference[folds == fold] = (
                Ridge(alpha).fit(x[folds != fold], y[folds != fold]).predict(x[folds == fold]).reshape(-1, y.shape[1])
            )
        np.testing.assert_allclose(predicted, reference[rows], rtol=1e-4, atol=1e-5 * np.abs(reference).max())
        assert error == pytest.approx(float(np.mean(((y - reference) / y.std(axis=0)) ** 2)), rel=1e-4)


def test_decompositions_of_all_folds_are_never_in_memory_at_once():
    x, y = problem(600, 300, 3)
    folds = np.arange(600) % 5
    tracemalloc.start()
    try:
        for _ in held_out_path(x, y, folds, [1.0, 10.0], np.arange(10)):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 11 * 8 * 300**2  # five folds' scatters, their sum, and one decomposition with what it is made of


@pytest.mark.parametrize("features", [7, 60])
def test_influence_times_targets_is_what_the_map_predicts(features):
    rng = np.random.default_rng(features)
    x, unseen = rng.standard_normal((40, features)) + 3, rng.standard_normal((9, features))
    y = rng.standard_normal((40, 3)) + 100
    weights, intercept = solve_ridge(x, y, 5.0)
    offset = (unseen @ weights + intercept) - influence(x, unseen, 5.0) @ y
    np.testing.assert_allclose(offset, np.broadcast_to(offset[0], offset.shape), atol=1e-9)
