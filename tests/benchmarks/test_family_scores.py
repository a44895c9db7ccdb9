"""The score of a random stream counts what it says: shown on streams whose faults are known."""

import json

import numpy as np
import pytest

from benchmarks import family_scores, page_tables
from benchmarks.family_scores import Job, count_wrong, default_pipeline, judge, score_all, score_families, score_stream
from benchmarks.random_faults import FAMILIES, RandomFault
from benchmarks.random_senders import RandomSender
from benchmarks.random_streams import make_stream

EVEN = RandomSender(
    rate_hz=250.0, rate_ppm=0.0, drift_ppm=0.0, drift_period_s=100.0, packing="fixed", size=5, timer_s=0.02,
    stamping="counter", event_s=0.01, repeated=0.0, jitter="exponential", jitter_s=1e-4, memory_s=1.0, tick_s=0.0,
    transport_s=1e-3, queue_s=1e-4, offset_s=0.0, stamps_late=False, whole_packets=False, cycle_s=0.0,
)  # fmt: skip
"""As good a sender as there is."""


def _stream(*faults, sender=EVEN, seconds=30.0):
    return make_stream(sender, faults, seconds, 5000.0, np.random.default_rng(0))


def _judged(stream):
    return judge(stream, stream.events(), default_pipeline(stream.spec))


def test_an_even_stream_scores_full_marks():
    score = _judged(_stream())
    assert score.accepted > 60
    assert score.far > 50
    assert score.wrong == score.refused_far == score.false_alarms == score.with_losses == 0


def test_a_loss_is_counted_and_only_what_is_near_is_refused():
    score = _judged(_stream(RandomFault("loss", 15.0, 0.1, 25)))
    assert (score.with_losses, score.lost_exact) == (1, 1)
    assert score.wrong == score.refused_far == score.false_alarms == 0
    assert 30 < score.far < 60


def test_epochs_at_other_times_than_they_say_or_with_a_gap_are_wrong():
    stream = _stream()
    pipeline = default_pipeline(stream.spec)
    numbers = 1000 + np.arange(pipeline.n_times)
    onset = float(stream.true_time[1000])

    def wrong(onset, numbers):
        samples = np.stack([numbers, np.zeros(len(numbers))], axis=1).astype(np.float32)
        return count_wrong(stream, pipeline, [(onset, samples)])

    assert not wrong(onset, numbers)
    assert not wrong(onset + 0.0039, numbers)
    assert wrong(onset + 0.0041, numbers)
    assert wrong(onset - 0.0041, numbers)
    assert wrong(onset, numbers + (numbers > 1150))
    assert wrong(onset, np.where(numbers == 1100, 1099, numbers))


def test_what_is_late_by_a_radio_s_constant_delay_is_right_and_by_more_is_wrong():
    radio = RandomSender(**vars(EVEN) | {"stamping": "radio", "event_s": 0.02})
    stream = _stream(sender=radio)
    pipeline = default_pipeline(stream.spec)
    numbers = 1000 + np.arange(pipeline.n_times)
    samples = np.stack([numbers, np.zeros(len(numbers))], axis=1).astype(np.float32)
    onset = float(stream.true_time[1000])
    assert count_wrong(stream, pipeline, [(onset + 0.010, samples)]) == 0
    assert count_wrong(stream, pipeline, [(onset + 0.015, samples)]) == 1
    assert count_wrong(stream, pipeline, [(onset + 0.010, samples), (onset, samples)]) == 1, "one constant for all"


def test_a_report_of_a_fault_that_is_not_there_is_a_false_alarm():
    stream = _stream(RandomFault("loss", 15.0, 0.1, 25))
    innocent = make_stream(EVEN, (), 30.0, 5000.0, np.random.default_rng(0))
    blamed = judge(innocent, stream.events(), default_pipeline(stream.spec))
    assert blamed.false_alarms == 1
    assert blamed.refused_far > 0


def test_a_pipeline_that_fails_is_counted_with_its_seed():
    scored = score_stream(Job("losses", 7), _breaks)
    assert scored.score.crashed == 1
    assert scored.error == "ZeroDivisionError: integer division or modulo by zero"
    assert scored.job[:2] == ("losses", 7)


def _breaks(spec):
    pipeline = default_pipeline(spec)
    pipeline.push = lambda item: iter([1 // 0])
    return pipeline


@pytest.mark.processes
def test_streams_scored_in_two_processes_score_the_same():
    jobs = [Job("single", seed, margin) for seed in range(2) for margin in (4.0, 9.0)]
    alone = [score_stream(job, at_most_s=12.0) for job in jobs]
    assert list(score_all(jobs, at_most_s=12.0, processes=2)) == alone


def test_a_table_has_a_row_for_each_family(capsys, tmp_path):
    family_scores.main(
        [
            "--streams",
            "1",
            "--seconds",
            "30",
            "--family",
            "drift",
            "--family",
            "steps",
            "--json",
            str(tmp_path / "rows"),
        ]
    )
    rows = json.loads((tmp_path / "rows").read_text())
    assert [row["name"] for row in rows] == ["drift", "steps"]
    wanted = {"name", "streams", "accepted", "wrong", "refused_far", "false_alarms", "lost_exact", "crashed"}
    assert all(wanted <= set(row) for row in rows)
    assert "refused far" in capsys.readouterr().out


def test_the_full_run_is_two_thousand_streams_with_ten_clean_hours():
    assert sum(family_scores.FULL.values()) == 2000
    clean_s = sum(FAMILIES[name].seconds * family_scores.FULL[name] for name in ("clean", "clean-radio"))
    assert clean_s == pytest.approx(36_000)
    assert score_families(streams=0) == score_families(streams=dict.fromkeys(FAMILIES, 0))


def test_the_page_has_a_row_for_each_family_and_one_for_live_runs():
    rows, _ = score_families(streams=dict.fromkeys(FAMILIES, 0))
    live = {"name": "live, all families"} | family_scores.row_of(family_scores.Score(streams=40, accepted=900, wrong=3))
    told = {"system": "x", "machine": {"cpu": "a", "cores": 2}, "date": "2026-01-01"}
    result = {"families": rows, "live": live, "seeds": "report"}
    text = page_tables.families({"faults": told | {"result": result}})
    assert all(f"| {family.about} | 0 |" in text for family in FAMILIES.values())
    assert "| live, all families | 40 | 3 of 900 |" in text
    assert "Seeds: report." in text
    assert "Not yet measured" in page_tables.families({"faults": told | {"result": {}}})
