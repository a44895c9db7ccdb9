import itertools
from dataclasses import replace

import numpy as np
import pytest

from calibration.data.sources import EarlierBundle
from calibration.errors import FitError
from calibration.fit import fit_trials
from configs.schema import Config, FitSettings, WindowSettings
from perceptogram.calibrate.block_scores import Blocks, StopRule
from perceptogram.calibrate.view import BlockReport, rows
from tests.support.calibration_examples import make_trials

CONFIG = Config(
    window=WindowSettings(stop_s=0.4, baseline_s=(-0.2, 0.0)),
    fit=FitSettings(permutations=30, alphas=(10.0, 100.0, 1000.0)),
)


def standings(signal, sizes=(10, 50, 120, 240)):
    trials, targets = make_trials(n_pictures=80, signal=signal)
    blocks = Blocks(targets, CONFIG)
    bounds = [0, *sizes]
    return [blocks.add(trials.take(np.arange(a, b))) for a, b in itertools.pairwise(bounds)], blocks


def test_scores_rise_block_by_block_until_the_rule_is_met():
    told, blocks = standings(1.0)
    assert [each.n_trials for each in told] == [10, 50, 120, 240]
    assert told[0].scores == {}
    assert told[3].scores["two_way"] > told[1].scores["two_way"]
    assert [point.n for point in told[3].curve] == [50, 120, 240]
    rule = StopRule.parse("two_way>0.70")
    assert [rule.met(each.scores) for each in (told[0], told[3])] == [False, True]
    assert told[3].minutes_to(0.6, 20) == 0
    assert len(blocks.trials) == 240
    assert not set(blocks.trials.recordings[:50]) & set(blocks.trials.recordings[50:])


def test_without_signal_no_goal_is_promised_and_no_rule_is_met():
    told, _ = standings(0.0)
    assert told[-1].minutes_to(0.7, 20) is None
    assert not any(StopRule.parse("two_way>0.60").met(each.scores) for each in told)


def test_a_lucky_score_does_not_end_a_session():
    rule = StopRule.parse(" auc > .7 ")
    assert not rule.met({"auc": 0.75, "auc_interval": [0.66, 0.84]})
    assert rule.met({"auc": 0.75, "auc_interval": [0.71, 0.79]})
    assert not rule.met({"auc": None, "auc_interval": [None, None]})


@pytest.mark.parametrize("text", ["two_way", "two_way>1.5", "speed>0.7", "two_way<0.7", ""])
def test_says_what_a_rule_looks_like(text):
    with pytest.raises(FitError, match=r"two_way>0\.70"):
        StopRule.parse(text)


def a_day(noise_seed, n_pictures=80):
    """Trials of the one person whom `make_trials` knows, in other noise and another order."""
    trials, targets = make_trials(n_pictures=n_pictures)
    rng = np.random.default_rng(noise_seed)
    noise = rng.standard_normal(trials.samples.shape) @ (10 * (np.eye(4) + 0.5))
    order = rng.permutation(len(trials))
    return replace(trials, samples=(trials.samples + noise).astype(np.float32)).take(order), targets


def test_with_an_earlier_day_there_is_a_score_from_the_first_block_on_until_new_trials_outweigh_it():
    old, targets = a_day(1)
    config = CONFIG.model_copy(update={"fit": CONFIG.fit.model_copy(update={"permutations": 0})})
    source = EarlierBundle("monday", fit_trials(old, targets, config).bundle)
    new, _ = a_day(2)
    blocks, alone = Blocks(targets, config, (source,)), Blocks(targets, config)
    assert blocks.check(new.take(np.zeros(0, int))) == ()
    first = blocks.add(new.take(np.arange(12)))
    assert alone.add(new.take(np.arange(12))).scores == {}
    assert first.scores["two_way"] > 0.6
    assert first.from_earlier
    second, without = blocks.add(new.take(np.arange(12, 60))), alone.add(new.take(np.arange(12, 60)))
    assert second.scores["two_way"] > without.scores["two_way"]
    assert "from earlier days" in rows(report(second), 0.7, 60.0)["map"]
    assert without.worth is None
    assert "map" not in rows(report(without), 0.7, 60.0)
    last = blocks.add(new.take(np.arange(60, 240)))
    assert not replace(last, worth=100.0).from_earlier


def report(standing):
    return BlockReport(1, 3, standing, {}, 0, 0, 0, 0)


def test_a_source_that_does_not_fit_is_refused_before_a_picture_is_shown():
    old, targets = a_day(1)
    config = CONFIG.model_copy(update={"fit": CONFIG.fit.model_copy(update={"permutations": 0})})
    bundle = fit_trials(old, targets, config).bundle
    nothing = old.take(np.zeros(0, int))
    for other, wrong in (
        (replace(nothing, rate_hz=100.0), "its rate is 50 Hz, here it is 100 Hz"),
        (replace(nothing, filters={"lowpass_hz": 10.0}), "its filter lowpass_hz is None, here it is 10.0"),
        (replace(nothing, times_s=nothing.times_s[:-4]), "its window has 20 samples from 0 s, here there are 16"),
        (replace(nothing, simulated=True), "its EEG was real"),
        (replace(nothing, spec=replace(nothing.spec, channels=("O1", "Fz"))), "it has no channel Fz"),
        (replace(nothing, spec=replace(nothing.spec, channels=("Oz", "O1"))), None),
    ):
        blocks = Blocks(targets, config, (EarlierBundle("monday", bundle),))
        if wrong is None:
            assert "without O2, Pz" in blocks.check(other)[0]
        else:
            with pytest.raises(FitError, match=wrong):
                blocks.check(other)
    elsewhere = replace(targets, space=replace(targets.space, pretrained="other"))
    with pytest.raises(FitError, match="its map leads to"):
        Blocks(elsewhere, config, (EarlierBundle("monday", bundle),)).check(nothing)
