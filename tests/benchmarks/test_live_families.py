"""Random streams are the same live: sent by another process over LSL, read, and judged by the same truth."""

import pytest

from benchmarks import families
from benchmarks.live_families import live_jobs, score_live
from benchmarks.random_faults import FAMILIES


@pytest.mark.processes
def test_two_random_streams_are_read_over_lsl_and_judged():
    scored = score_live([("losses", 3), ("clean", 4)], seconds=12.0, at_once=2)
    assert [(one.family, one.seed, one.error) for one in scored] == [("losses", 3, ""), ("clean", 4, "")]
    assert all(one.score.accepted >= 5 for one in scored)
    assert [one.score.with_losses for one in scored] == [1, 0]
    assert not scored[1].score.wrong


@pytest.mark.processes
def test_what_fails_live_is_counted():
    (scored,) = score_live([("clean", 1)], seconds=2.0, make=_refuses, at_once=1)
    assert scored.score.crashed == 1
    assert scored.error == "RuntimeError: not this stream"


def _refuses(spec):
    msg = "not this stream"
    raise RuntimeError(msg)


def test_families_take_turns_and_seeds_are_used_once():
    jobs = live_jobs(range(100, 200), 40)
    assert {family for family, _ in jobs} == set(FAMILIES)
    assert [seed for _, seed in jobs] == list(range(100, 140))


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_quick_run_has_a_row_for_each_family_and_one_for_the_live_runs(monkeypatch):
    monkeypatch.setattr(families, "MARGINS", (4.0,))
    found = families.run(quick=True)
    assert [row["name"] for row in found["families"]] == list(FAMILIES)
    assert all(row["streams"] == 1 for row in found["families"])
    assert found["live"]["streams"] == 2
    assert found["live_failed"] == []
    assert found["seeds"] == "report"
    assert len(found["operating_curve"]) == 2
