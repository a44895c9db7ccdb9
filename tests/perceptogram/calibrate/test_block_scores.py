import itertools

import numpy as np
import pytest

from calibration.errors import FitError
from configs.schema import Config, FitSettings, WindowSettings
from perceptogram.calibrate.block_scores import Blocks, StopRule
from tests.support.calibration_examples import make_trials

CONFIG = Config(
    window=WindowSettings(stop_s=0.4, baseline_s=(-0.2, 0.0)),
    fit=FitSettings(permutations=100, alphas=(10.0, 100.0, 1000.0)),
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
