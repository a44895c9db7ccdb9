import json
import resource
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.recording.latency_log import PerceptLog, read_percepts, summary, trial_times


def test_a_trials_times_may_be_told_late_and_come_out_in_order():
    told = [
        {"trial": 1, "ledger": {"embedding": 3.0, "onset": 1.0, "marker": 1.5}},
        {"trial": 2, "ledger": {"onset": 5.0}},
        {"trial": 3, "refused": "hole"},
        {"trial": 1, "ledger": {"shown": 4.0}},
    ]
    first, second = trial_times(told)
    assert list(first.items()) == [("onset", 1.0), ("marker", 1.5), ("embedding", 3.0), ("shown", 4.0)]
    assert second == {"onset": 5.0}
    assert summary([first])["onset_to_marker_ms"]["p50"] == pytest.approx(500.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_summary_gives_percentiles_in_the_unit_of_the_name(delays):
    records = [{"arrived": 100.0, "embedding": 100.0 + delay} for delay in delays] + [{"arrived": 1.0}]
    found = summary(records)
    assert list(found) == ["last_sample_to_embedding_us"]
    wanted = np.percentile(delays, [50, 95, 99]) * 1e6
    got = found["last_sample_to_embedding_us"]
    np.testing.assert_allclose([got["p50"], got["p95"], got["p99"]], wanted, atol=0.1)
    assert got["n"] == len(delays)


def test_percepts_come_back(tmp_path):
    path = tmp_path / "new folder" / "percepts.jsonl"
    with PerceptLog(path) as log:
        log.write({"trial": np.int64(1), "embedding": np.array([0.5, 1.0], np.float32), "picture": "äpfel\n"})
        log.write({"trial": 2})
    with PerceptLog(path) as log:
        log.write({"trial": 3})
    assert read_percepts(path) == [
        {"trial": 1, "embedding": [0.5, 1.0], "picture": "äpfel\n"},
        {"trial": 2},
        {"trial": 3},
    ]
    log.close()


def test_line_cut_by_a_crash_spoils_no_other(tmp_path, caplog):
    path = tmp_path / "percepts.jsonl"
    path.write_text(json.dumps({"trial": 1}) + "\n" + '{"trial": 2, "pict')
    with PerceptLog(path) as log:
        log.write({"trial": 3})
    assert read_percepts(path) == [{"trial": 1}, {"trial": 3}]
    assert "line 2" in caplog.text


def test_nan_is_refused_and_nothing_is_written(tmp_path):
    with PerceptLog(tmp_path / "percepts.jsonl") as log:
        with pytest.raises(ValueError, match="JSON"):
            log.write({"confidence": float("nan")})
        with pytest.raises(TypeError, match="cannot hold a object"):
            log.write({"confidence": object()})
    assert (tmp_path / "percepts.jsonl").read_text() == ""


def test_what_a_full_disk_keeps_from_the_log_waits_and_is_written_whole(tmp_path):
    told = []
    path = tmp_path / "percepts.jsonl"
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with PerceptLog(path, told.append) as log:
        log.write({"trial": 0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, unlimited[1]))
        try:
            for trial in (1, 2):
                log.write({"trial": trial})
                assert read_percepts(path) == [{"trial": 0}], "no half line"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        log.write({"trial": 3})
    assert [record["trial"] for record in read_percepts(path)] == [0, 1, 2, 3]
    first, again = told
    assert first == f"percepts are not written any more: cannot write {path} (File too large)"
    assert again == f"percepts are written to {path} again"


def test_a_log_that_is_deleted_is_put_back_with_what_it_held(tmp_path):
    told = []
    path = tmp_path / "out" / "percepts.jsonl"
    with PerceptLog(path, told.append) as log:
        log.write({"trial": 0})
        shutil.rmtree(tmp_path / "out")
        log.write({"trial": 1})
        log.write({"trial": 2})
    assert [record["trial"] for record in read_percepts(path)] == [0, 1, 2]
    assert told == [f"{path} was deleted while it was written; it is put back, whole"]


def test_lines_that_never_could_be_written_are_told_at_the_end(tmp_path):
    told = []
    path = tmp_path / "out" / "percepts.jsonl"
    log = PerceptLog(path, told.append)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").write_text("in the way")
    log.write({"trial": 0})
    log.write({"trial": 1})
    log.close()
    assert len(told) == 2
    assert told[1] == f"the last 2 lines are not in {path}"
