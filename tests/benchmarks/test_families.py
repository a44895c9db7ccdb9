"""Scores of random streams are kept, so that a run that takes hours may be broken off."""

import json
from collections import Counter

import pytest

from benchmarks import page_tables
from benchmarks.families import CURVE_EVERY, MARGINS, in_turn, operating_curve
from benchmarks.family_scores import FULL, Job, Score, Scored, default_pipeline, with_margin
from benchmarks.kept_scores import Kept
from benchmarks.random_streams import random_stream
from realtime.timeline.axis_settings import DEFAULT

JOBS = [Job("single", 1), Job("mixed", 1), Job("single", 2), Job("single", 1, 4.0)]


def _by_seed(jobs):
    for job in jobs:
        yield Scored(job, Score(streams=1, accepted=job.seed))


def test_a_run_that_is_broken_off_goes_on(tmp_path):
    file, asked = tmp_path / "new" / "scores.jsonl", []

    def score(jobs):
        for one in _by_seed(jobs):
            asked.append(one.job)
            if len(asked) == 3:
                raise KeyboardInterrupt
            yield one

    first = Kept(file)
    with pytest.raises(KeyboardInterrupt):
        first.scored(JOBS, score)
    again = Kept(file)
    assert [one.score.accepted for one in again.scored(JOBS, score)] == [1, 1, 2, 1]
    assert asked == [*JOBS[:3], *JOBS[2:]], "what was under way is lost, and nothing else is done twice"
    assert again.whole


def test_a_score_that_a_kill_cut_off_is_made_again_and_the_others_are_kept(tmp_path):
    file = tmp_path / "scores.jsonl"
    Kept(file).scored(JOBS[:2], _by_seed)
    for length in (len(file.read_bytes()) - 1, 10):
        file.write_bytes(file.read_bytes()[:length])
        kept = Kept(file)
        assert [one.score.accepted for one in kept.scored(JOBS[:2], _by_seed)] == [1, 1]
        assert len(file.read_text().splitlines()) == 2
        assert Kept(file, minutes=0.0).scored(JOBS[:2], _by_seed) == kept.scored(JOBS[:2], _by_seed)


def test_without_time_nothing_is_begun_and_the_result_says_so(tmp_path):
    kept = Kept(tmp_path / "scores.jsonl", minutes=0.0)
    assert kept.scored(JOBS, _by_seed) == []
    assert not kept.whole


def test_scores_of_other_code_are_left_out(tmp_path):
    file = tmp_path / "scores.jsonl"
    Kept(file).scored(JOBS[:1], _by_seed)
    row = json.loads(file.read_text())
    file.write_text(json.dumps(row | {"code": "another"}) + "\n")
    assert Kept(file, minutes=0.0).scored(JOBS[:1], _by_seed) == []


def test_wherever_a_run_ends_it_holds_as_many_streams_of_each_family_and_every_margin_of_some():
    jobs = list(in_turn(FULL))
    streams = [job for job in jobs if job.margin == DEFAULT.margin]
    assert len(streams) == len(set(streams)) == sum(FULL.values())
    for early in (600, 1000):
        counts = Counter(job.family for job in streams[:early])
        long = {name for name, count in FULL.items() if count > min(counts.values())}
        assert max(counts[name] for name in long) - min(counts[name] for name in long) <= 1
    assert jobs[: 1 + len(MARGINS)] == [Job("clean", jobs[0].seed, margin) for margin in (DEFAULT.margin, *MARGINS)]
    assert sum(job.margin == 4.0 for job in jobs) == sum(-(-count // CURVE_EVERY) for count in FULL.values())


def test_margins_are_compared_on_the_streams_that_all_of_them_had_time_for():
    margins = (1.0, 4.0, DEFAULT.margin, 16.0, 36.0)
    jobs = [Job(family, 1, margin) for family in ("single", "mixed", "any") for margin in margins][:-2]
    rows = operating_curve([Scored(job, Score(streams=1, accepted=10, wrong=int(job.margin < 9))) for job in jobs])
    assert [row["margin"] for row in rows] == [1.0, 4.0, 9.0, 16.0, 36.0]
    assert {(row["streams"], row["accepted"]) for row in rows} == {(2, 20)}
    assert [row["wrong_in_10000"] for row in rows] == [1000.0, 1000.0, 0.0, 0.0, 0.0]


def test_the_margin_reaches_the_time_axis():
    stream = random_stream("single", 3, 4.0)
    pipeline = with_margin(stream.spec, 4.0)
    assert pipeline.timeline.settings.margin == 4.0
    assert default_pipeline(stream.spec).timeline.settings.margin == 9.0


def test_the_page_shows_the_operating_curve_or_says_that_it_was_not_measured():
    told = {"system": "x", "machine": {"cpu": "a", "cores": 2}, "date": "2026-01-01"}
    row = {"margin": 9.0, "streams": 12, "accepted": 500, "wrong_in_10000": 20.0, "refused_far_percent": 1.5}
    row |= {"lost_exact": "3 of 4"}
    text = page_tables.operating_curve({"families": told | {"result": {"operating_curve": [row]}}})
    assert "| 9.0 | 12 | 500 | 20.0 | 1.5 | 3 of 4 |" in text
    assert "Not yet measured" in page_tables.operating_curve({"faults": told | {"result": {}}})
