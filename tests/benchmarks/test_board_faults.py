"""The fault table through boards: no epoch that stands is wrong, and what is lost is counted."""

import pytest

from benchmarks.board_faults import FAULTS_OF_BOARDS, WAYS, one, playing

EVERY_WAY = ("drop:25", "rate:0.01", "rate:-0.001", "repeat:10", "clock-step:0.5", "burst:0.3")
CASES = [(text, "dongle") for text in FAULTS_OF_BOARDS if not text.endswith("later")]
CASES += [(text, way) for way in WAYS if way != "dongle" for text in EVERY_WAY]


@pytest.mark.parametrize(("text", "way"), CASES)
def test_no_fault_of_the_table_leaves_a_wrong_epoch(text, way):
    row = one(text, WAYS[way], 16.0, 8.0)
    assert row["wrongly_accepted"] == 0
    if text.startswith("drop"):
        assert row["count_exact"]
    if text not in ("rate:0.01", "missing:Cz"):
        assert row["accepted"] > 30


@pytest.mark.parametrize("text", ["rate:-0.01 later", "rate:0.005 later"])
def test_a_rate_that_changes_is_told(text):
    assert one(text, WAYS["dongle"])["detected"]


@pytest.mark.processes
@pytest.mark.slow
def test_no_fault_in_a_file_that_brainflow_plays_leaves_a_wrong_epoch():
    pytest.importorskip("brainflow")
    row = playing()
    assert row["wrong"] == 0
    assert row["accepted"] > 0
    assert row["lost"] > 0
