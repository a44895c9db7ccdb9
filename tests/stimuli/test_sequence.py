"""The order of pictures: what must hold for every session, and what a resumed session shows."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import StimulusSettings
from stimuli.sequence import PlanError, load_plan, plan, resume, save_plan


def names(count):
    return [f"p{k}" for k in range(count)]


plans = st.builds(
    lambda count, repeats, blocks, length, targets, seed: plan(
        names(count),
        StimulusSettings(sequence_length=length, targets_per_sequence=targets),
        repeats=repeats,
        blocks=blocks,
        seed=seed,
    ),
    count=st.integers(2, 60),
    repeats=st.integers(1, 6),
    blocks=st.integers(1, 5),
    length=st.integers(1, 25),
    targets=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)


@given(plans)
def test_no_trial_repeats_the_one_before_it(planned):
    assert all(first.picture != second.picture for first, second in pairwise(planned.trials))


@given(plans)
def test_every_picture_comes_once_before_any_comes_again(planned):
    shown = [trial.picture for trial in planned.trials if not trial.is_target]
    count = len(planned.pictures)
    passes = [shown[k : k + count] for k in range(0, len(shown), count)]
    assert all(sorted(one) == sorted(planned.pictures) for one in passes)


@given(plans)
def test_numbers_run_on_and_blocks_hold_whole_sequences(planned):
    assert [trial.index for trial in planned.trials] == list(range(len(planned.trials)))
    assert all(0 <= b.sequence - a.sequence <= 1 and 0 <= b.block - a.block <= 1 for a, b in pairwise(planned.trials))
    assert all(len({trial.block for trial in sequence}) == 1 for sequence in planned.sequences)
    assert all(sum(trial.is_target for trial in sequence) <= 1 for sequence in planned.sequences)


@given(plans, st.data())
def test_a_resumed_plan_shows_exactly_the_rest(planned, data):
    cut = data.draw(st.integers(0, len(planned.trials)))
    rest = resume(planned, {trial.index for trial in planned.trials[:cut]})
    assert rest.trials == planned.trials[cut:]


@given(st.integers(0, 1000), st.integers(1, 4))
def test_halves_of_sequences_are_counterbalanced(seed, pairs):
    settings = StimulusSettings(sequence_length=10, targets_per_sequence=0)
    planned = plan(names(40), settings, repeats=2 * pairs, seed=seed)
    early = Counter(trial.picture for trial in planned.trials if trial.index % 10 < 5)
    assert set(early.values()) == {pairs}


def test_the_seed_decides_the_order():
    settings = StimulusSettings(seed=4)
    assert plan(names(30), settings) == plan(names(30), settings, seed=4) != plan(names(30), settings, seed=5)


def test_targets_are_as_frequent_as_asked():
    planned = plan(names(40), StimulusSettings(sequence_length=20, targets_per_sequence=0.25), repeats=400)
    share = sum(trial.is_target for trial in planned.trials) / len(planned.sequences)
    assert share == pytest.approx(0.25, abs=0.05)


@given(plans)
def test_a_plan_survives_the_disk(tmp_path_factory, planned):
    path = tmp_path_factory.getbasetemp() / "plan.jsonl"
    save_plan(planned, path)
    assert load_plan(path) == planned
    assert not list(path.parent.glob("*.part"))


@pytest.mark.parametrize(
    ("pictures", "repeats", "message"),
    [
        ([], 1, "without pictures"),
        (["a", "b", "a"], 1, "'a' is given twice"),
        (["a", "target"], 1, "called 'target'"),
        (["a", "b"], 0, r"repeats \(0\)"),
        (["a"], 2, "without following itself"),
    ],
)
def test_what_cannot_be_planned_is_refused(pictures, repeats, message):
    with pytest.raises(PlanError, match=message):
        plan(pictures, StimulusSettings(), repeats=repeats)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9}', '{"schema": 1, "on_s": 1}', "a,b\n1,2"])
def test_a_file_that_is_no_plan_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "plan.jsonl"
    path.write_text(text)
    with pytest.raises(PlanError, match=r"plan\.jsonl") as caught:
        load_plan(path)
    assert "\n" not in str(caught.value)
