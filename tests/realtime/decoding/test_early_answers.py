from dataclasses import replace

import numpy as np
import pytest

from configs.errors import InputError
from configs.evidence import EvidenceSettings
from realtime.decoding.bundle import BundleError, load_bundle
from realtime.decoding.early_answers import EarlyAnswers, answers_of, expectation
from realtime.decoding.linear_decoder import WindowWeights
from tests.support.session_parts import bundle, early_answers

TIMES, CHANNELS, DIMS, SEEN = 10, 3, 5, 6


def covariance(size, seed):
    root = np.random.default_rng(seed).standard_normal((size, 2 * size))
    return root @ root.T / (2 * size)


def known(share=0.5):
    noise = covariance(TIMES, 0).astype(np.float32)
    return EarlyAnswers(noise, (0.02, 0.08, 0.1), (2.0, 1.2, 1.0), (0.1, share, 1.0))


def a_map(seed=0, dims=DIMS):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((TIMES, CHANNELS, dims)).astype(np.float32)
    mean = rng.standard_normal((TIMES, CHANNELS)).astype(np.float32)
    return WindowWeights.of(weights, rng.standard_normal(dims).astype(np.float32)), mean


def test_the_rest_is_what_a_gaussian_with_that_noise_in_every_channel_leaves_to_expect():
    over_time, over_channels = covariance(TIMES, 0), covariance(CHANNELS, 1)
    whole = np.kron(over_time, over_channels)
    rng = np.random.default_rng(2)
    mean, window = rng.standard_normal((2, TIMES, CHANNELS))
    n = SEEN * CHANNELS
    away = (window - mean).ravel()[:n]
    expected = mean.ravel()[n:] + whole[n:, :n] @ np.linalg.solve(whole[:n, :n], away)
    found = mean + expectation(over_time, SEEN) @ (window - mean)[:SEEN]
    np.testing.assert_allclose(found[SEEN:].ravel(), expected, rtol=1e-8)
    np.testing.assert_allclose(found[:SEEN], window[:SEEN])


def test_a_map_that_reads_answers_in_noise_reads_their_seen_part_best():
    """The best weights of the seen part are its noise's inverse times the seen part of the answers."""
    over_time, over_channels = covariance(TIMES, 3), covariance(CHANNELS, 4)
    answers = np.random.default_rng(5).standard_normal((TIMES * CHANNELS, DIMS))
    weights = np.linalg.solve(np.kron(over_time, over_channels), answers).reshape(TIMES, CHANNELS, DIMS)
    read = np.einsum("ts,tcd->scd", expectation(over_time, SEEN), weights)
    n = SEEN * CHANNELS
    best = np.linalg.solve(np.kron(over_time, over_channels)[:n, :n], answers[:n])
    np.testing.assert_allclose(read.reshape(n, DIMS), best, rtol=1e-6, atol=1e-9)


def test_an_answer_is_stretched_about_the_mean_window_and_treats_all_columns_alike():
    by, mean = a_map()
    early = known().at(0.06, mean, 0.0, 100.0)
    assert early.seen == SEEN
    seen = np.random.default_rng(1).standard_normal((SEEN, CHANNELS)).astype(np.float32)
    level = mean.reshape(-1) @ by.weights + by.bias
    plain = replace(early, completion=early.completion / np.float32(np.interp(0.06, (0.02, 0.08), (2.0, 1.2))))
    stretch = np.interp(0.06, (0.02, 0.08), (2.0, 1.2))
    moved = plain.decode(by, seen) - level
    np.testing.assert_allclose(early.decode(by, seen) - level, stretch * moved, rtol=1e-4, atol=1e-4)
    more = np.concatenate([by.weights, 2 * by.weights], axis=1).reshape(TIMES, CHANNELS, 2 * DIMS)
    both = early.decode(WindowWeights.of(more, np.concatenate([by.bias, by.bias])), seen)
    np.testing.assert_allclose(both[:DIMS], early.decode(by, seen), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(both[DIMS:] - by.bias, 2 * (both[:DIMS] - by.bias), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((), []), ((0.08, 0.02, 0.08), [2, 8]), (0.03, [3, 6, 9]), (0.05, [5]), (0.1, [])],
)
def test_times_are_listed_or_come_every_so_many_seconds_inside_the_window(asked, expected):
    settings = EvidenceSettings(answer_at_s=asked)
    assert list(answers_of(known(), settings, np.zeros((TIMES, 2)), 0.0, 100.0)) == expected


def test_every_so_many_seconds_are_multiples_after_onset_wherever_the_window_begins():
    assert EvidenceSettings(answer_at_s=0.1).answer_times(-0.2, 0.4) == pytest.approx((0.1, 0.2, 0.3))
    assert EvidenceSettings(answer_at_s=0.1).answer_times(0.15, 0.4) == pytest.approx((0.2, 0.3))


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(InputError, match=r"0\.3 s is not inside the window, from 0 to 0\.1 s"):
        answers_of(known(), EvidenceSettings(answer_at_s=(0.3,)), np.zeros((TIMES, 2)), 0.0, 100.0)
    with pytest.raises(InputError, match="cannot answer before a window ends; fit it again"):
        answers_of(None, EvidenceSettings(answer_at_s=(0.05,)), np.zeros((TIMES, 2)), 0.0, 100.0)


def test_a_bundle_keeps_it_and_one_without_it_loads(tmp_path):
    early = early_answers()
    replace(bundle(), early=early).save(tmp_path / "new")
    kept = load_bundle(tmp_path / "new").early
    assert (kept.at_s, kept.stretch, kept.share) == (early.at_s, early.stretch, early.share)
    np.testing.assert_array_equal(kept.noise, early.noise)
    bundle().save(tmp_path / "old")
    assert load_bundle(tmp_path / "old").early is None


@pytest.mark.parametrize("record", [{"at_s": (0.2, 0.1)}, {"share": (1.0,)}, {"stretch": (-1.0, 1.0, 1.0)}])
def test_a_damaged_one_is_refused(tmp_path, record):
    replace(bundle(), early=replace(early_answers(), **record)).save(tmp_path / "bundle")
    with pytest.raises(BundleError, match="early"):
        load_bundle(tmp_path / "bundle")
