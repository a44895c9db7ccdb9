"""Scores of random streams are kept, so that a run that takes hours may be broken off."""

import json

from benchmarks import page_tables
from benchmarks.families import Kept, _curve, with_margin
from benchmarks.family_scores import Score, Scored, default_pipeline
from benchmarks.random_streams import random_stream

JOBS = [("single", 1), ("mixed", 1), ("single", 2)]


def test_a_run_that_is_broken_off_goes_on(tmp_path):
    file, asked = tmp_path / "new" / "scores.jsonl", []

    def score(jobs):
        asked.extend(jobs)
        return [Scored(family, seed, Score(streams=1, accepted=seed)) for family, seed in jobs]

    first = Kept(file)
    assert [one.seed for one in first.scored("offline", JOBS[:2], score, piece=1)] == [1, 1]
    again = Kept(file)
    assert [one.score.accepted for one in again.scored("offline", JOBS, score)] == [1, 1, 2]
    assert asked == JOBS
    assert again.whole
    again.scored("margin 4", JOBS[:1], score)
    assert asked == [*JOBS, JOBS[0]], "another kind of score is not this one"


def test_without_time_nothing_is_begun_and_the_result_says_so(tmp_path):
    kept = Kept(tmp_path / "scores.jsonl", minutes=0.0)
    assert kept.scored("offline", JOBS, lambda jobs: 1 / 0) == []
    assert not kept.whole


def test_scores_of_other_code_are_left_out(tmp_path):
    file = tmp_path / "scores.jsonl"
    Kept(file).scored("offline", JOBS[:1], lambda jobs: [Scored(*jobs[0], Score(streams=1))])
    row = json.loads(file.read_text())
    file.write_text(json.dumps(row | {"code": "another"}) + "\n")
    assert Kept(file, minutes=0.0).scored("offline", JOBS[:1], lambda jobs: []) == []


def test_margins_are_compared_on_the_streams_that_all_of_them_had_time_for():
    def score(jobs, make):
        done = [job for job in jobs if job[0] == "single" or make.keywords["margin"] > 1]
        return [Scored(*job, Score(streams=1, accepted=10, wrong=int(make.keywords["margin"] < 9))) for job in done]

    rows = list(_curve(Kept(None), JOBS, score))
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
