"""Random streams are the same live: sent by another process over LSL, read, and judged by the same truth."""

import pytest

from benchmarks.family_scores import Job
from benchmarks.live_families import live_jobs, score_live
from benchmarks.random_faults import FAMILIES


@pytest.mark.processes
def test_two_random_streams_are_read_over_lsl_and_judged():
    jobs = [Job("losses", 3), Job("clean", 4)]
    scored = list(score_live(jobs, seconds=12.0, at_once=2))
    assert [(one.job, one.error) for one in scored] == [(job, "") for job in jobs]
    assert all(one.score.accepted >= 5 for one in scored)
    assert [one.score.with_losses for one in scored] == [1, 0]
    assert not scored[1].score.wrong


@pytest.mark.processes
def test_what_fails_live_is_counted():
    (scored,) = score_live([Job("clean", 1)], seconds=2.0, make=_refuses, at_once=1)
    assert scored.score.crashed == 1
    assert scored.error == "RuntimeError: not this stream"


def _refuses(spec):
    msg = "not this stream"
    raise RuntimeError(msg)


def test_families_take_turns_and_seeds_are_used_once():
    jobs = live_jobs(range(100, 200), 40)
    assert {job.family for job in jobs} == set(FAMILIES)
    assert [job.seed for job in jobs] == list(range(100, 140))
