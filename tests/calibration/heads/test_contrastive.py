"""The contrastive head is nearly as good as the best decoder there can be, and its training is the same every time."""

import numpy as np
import pytest
import torch

from calibration.data.kept import Kept
from calibration.heads import start
from calibration.heads.choosing import choose_head, reciprocal_ranks
from calibration.heads.contrastive import Problem, Training
from calibration.heads.identification import train
from calibration.heads.start import ridge_start
from calibration.model.folds import grouped_folds
from configs.schema import FitSettings
from tests.support.linear_world import make_linear_world

ALPHA = 100.0


def problem_of(world, **kinds):
    shown = world.targets[np.unique(world.pictures)]
    standard = (world.targets - shown.mean(axis=0)) / shown.std(axis=0)
    return Problem(world.features, world.pictures, standard[None].astype(np.float32), **kinds)


def settings(**fit):
    return FitSettings(**{"identification_decay": (0.0,), "identification_dims": 64} | fit)


def fitted(problem, folder, settings_, tell=lambda: None, every_s=0.0):
    kept = Kept(folder, every_s)
    folds = grouped_folds(problem.pictures, settings_.folds, settings_.seed)
    choice = choose_head(problem, folds, ALPHA, settings_, kept, tell)
    return choice, train(problem, choice, ALPHA, settings_, kept, tell)


def top1(output, candidates, own):
    candidates = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    return float(np.mean((output @ candidates.T).argmax(axis=1) == own))


@pytest.mark.slow
def test_it_comes_near_the_best_decoder_there_can_be(tmp_path):
    """Gaussian pictures, a linear answer, Gaussian noise: the oracle knows all of them."""
    world = make_linear_world(seed=1, n_pictures=3000, n_test=400)
    problem = problem_of(world)
    choice, solution = fitted(problem, tmp_path, settings(folds=4, identification_dims=32), every_s=1e9)
    candidates, own = problem.targets[:, world.test_pictures], np.arange(400)
    found = top1(solution.predict(world.test_features), solution.project(candidates), own)
    _, weights = ridge_start(problem, np.arange(len(problem.features)), ALPHA, 64)
    predicted = world.test_features @ weights
    ridge = top1((predicted - predicted.mean(axis=0)) / predicted.std(axis=0), candidates[0], own)
    assert 0.7 < world.oracle_top1 < 0.97
    assert found >= 0.95 * world.oracle_top1
    assert found > ridge + 0.05
    assert choice.pays


def test_a_large_ridge_map_is_approached_without_its_matrix(monkeypatch):
    problem = small()
    rows = np.arange(0, len(problem.features), 2)
    exact, weights = ridge_start(problem, rows, ALPHA, 12)
    monkeypatch.setattr(start, "LARGE", 1)
    near, approached = ridge_start(problem, rows, ALPHA, 12)
    np.testing.assert_allclose(approached, weights, atol=2e-3 * np.abs(weights).max())
    np.testing.assert_allclose(near.mean, exact.mean, atol=1e-6)
    assert np.abs(np.corrcoef(near.weights[:, 0], exact.weights[:, 0])[0, 1]) > 0.999


def test_where_nothing_is_known_it_does_not_pay(tmp_path):
    world = make_linear_world(seed=2, n_pictures=300, signal=0.0)
    choice, _ = fitted(problem_of(world), tmp_path, settings(), every_s=1e9)
    assert not choice.pays
    assert abs(choice.score - choice.first_score) < 4 * choice.error


def small(**kinds):
    return problem_of(make_linear_world(seed=3, n_pictures=120, dims=12, features=20), **kinds)


@pytest.mark.parametrize("kinds", [{}, {"residual": True}])
def test_equal_seeds_give_equal_maps(tmp_path, kinds):
    (_, first), (_, again), (_, other) = (
        fitted(small(**kinds), tmp_path, settings(seed=seed), every_s=1e9) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.weights, again.weights)
    np.testing.assert_array_equal(first.projection, again.projection)
    assert not np.array_equal(first.weights, other.weights)


class Interrupted(Exception):
    pass


BOTH = settings(identification_decay=(0.0, 1.0))


def trained():
    """A problem in which training pays, for some epochs."""
    return problem_of(make_linear_world(seed=3, n_pictures=240, dims=32, features=60), residual=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing interrupts, and how often it told how far it is."""
    told = []
    return fitted(trained(), tmp_path_factory.mktemp("whole"), BOTH, lambda: told.append(0), 1e9), len(told)


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 9, -2])
def test_a_training_that_was_interrupted_goes_on_and_ends_the_same(whole, tmp_path, after):
    """Interrupted while the penalty is chosen, or in the last training; what it had come to lies on the disk."""
    problem, (whole, told) = trained(), whole
    assert whole[0].epochs >= 4
    after %= told
    left = []

    def cut():
        left.append(0)
        if len(left) == after:
            raise Interrupted

    with pytest.raises(Interrupted):
        fitted(problem, tmp_path / "cut", BOTH, cut)
    assert list((tmp_path / "cut").iterdir())
    gone_on = []
    again = fitted(problem, tmp_path / "cut", BOTH, lambda: gone_on.append(0))
    assert len(gone_on) <= told - after + 1
    assert str(again[0]) == str(whole[0])
    for name in ("weights", "projection", "mix", "mean"):
        np.testing.assert_array_equal(getattr(again[1], name), getattr(whole[1], name))
    np.testing.assert_array_equal(again[1].residual.output, whole[1].residual.output)


def test_a_damaged_state_costs_time_and_nothing_else(tmp_path, caplog):
    kept = Kept(tmp_path, every_s=0.0)
    (tmp_path / "start.pt").write_bytes(b"cut off")
    assert kept.once("start", lambda: {"epoch": 3}) == {"epoch": 3}
    assert "begins again" in caplog.text
    assert kept.load("start") == {"epoch": 3}
    kept.forget()
    assert not tmp_path.exists()


def test_trials_of_one_picture_are_one_candidate():
    """Two trials of a picture in a batch: each must be told from the other pictures, not from one another."""
    problem = small()
    rows = np.flatnonzero(np.isin(problem.pictures, (0, 1, 2)))
    begin, _ = ridge_start(problem, np.arange(len(problem.features)), ALPHA, 12)
    training = Training(problem, rows, begin, 0.0, seed=0)
    features = torch.from_numpy(problem.features[rows])
    shown, own = torch.unique(torch.from_numpy(problem.pictures[rows]), return_inverse=True)
    loss = float(training._loss(features, shown, own).detach())

    output = begin.predict(problem.features[rows])
    candidates = begin.project(problem.targets[:, :3])
    output /= np.linalg.norm(output, axis=1, keepdims=True)
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    logits = begin.scale * output @ candidates.T
    each = np.arange(len(rows))
    by_trial = -np.log(np.exp(logits)[each, own] / np.exp(logits).sum(axis=1))
    by_picture = -np.log(np.exp(logits)[each, own] / np.exp(logits).sum(axis=0)[own])
    assert loss == pytest.approx(0.5 * (by_trial.mean() + by_picture.mean()), rel=1e-4)


def test_the_penalty_is_on_the_share_of_noise_whatever_the_weights_size():
    problem = small()
    rows = np.arange(len(problem.features))
    begin, _ = ridge_start(problem, rows, ALPHA, 12)
    features = torch.from_numpy(problem.features)
    own = torch.from_numpy(problem.pictures)
    losses = []
    for size in (1.0, 7.0):
        training = Training(problem, rows, begin, 0.5, seed=0)
        with torch.no_grad():
            training._weights *= size
        losses.append(float(training._loss(features, torch.arange(120), own).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_layers_count_as_much_as_helps(tmp_path):
    """Of two layers one tells nothing of the pictures."""
    world = make_linear_world(seed=4, n_pictures=400, dims=12, features=20)
    plain = problem_of(world)
    noise = np.random.default_rng(0).standard_normal(plain.targets.shape).astype(np.float32)
    layers = np.concatenate([plain.targets, noise])
    learnt = Problem(plain.features, plain.pictures, layers, learn_mix=True)
    alike = Problem(plain.features, plain.pictures, layers)
    (_, by_learning), (_, by_mean) = (fitted(one, tmp_path, settings(), every_s=1e9) for one in (learnt, alike))
    np.testing.assert_allclose(by_mean.mix, [0.5, 0.5])
    assert by_learning.mix[0] > 0.55


def test_ranks_are_averaged_by_picture_and_ties_count_half():
    candidates = np.eye(3, dtype=np.float32) * 2
    output = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    found = reciprocal_ranks(output, candidates, np.array([0, 0, 2, 1]))
    np.testing.assert_allclose(found, [(1 + 1 / 2.5) / 2, 1 / 1.5, 1])
