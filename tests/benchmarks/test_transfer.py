"""Faces and houses of one person, told apart by the map of another: real recordings, small enough for a test."""

import pytest

from benchmarks import accuracy, transfer


@pytest.fixture(scope="module")
def rows(shared_data):
    assert shared_data == accuracy.DATA
    return list(transfer.measure("muse_n170 person 11", (0, 40)))


@pytest.mark.slow
def test_another_persons_map_tells_apart_what_its_own_forty_trials_do_not(rows):
    by_mode = {(row["mode"], row["trials"]): row for row in rows}
    assert by_mode[transfer.CROSS_SUBJECT, 0]["auc"] > 0.69
    assert by_mode[transfer.CROSS_SUBJECT, 40]["auc"] > by_mode[transfer.WITHIN, 40]["auc"] - 0.005


@pytest.mark.slow
def test_rows_name_set_mode_trials_score_interval_and_what_the_trials_alone_give(rows):
    assert all(row["low"] < row["auc"] < row["high"] for row in rows)
    assert [row["alone"] is None for row in rows] == [row["trials"] == 0 for row in rows]


def test_people_of_one_set_are_averaged_by_mode_and_trials():
    own = [
        {"set": f"gtec_p300 person {n}", "mode": "m", "trials": 40, "auc": auc, "alone": 0.5}
        for n, auc in ((1, 0.6), (2, 0.8))
    ]
    (mean,) = transfer.means(own)
    assert (mean["auc"], mean["alone"], mean["trials"]) == (pytest.approx(0.7), 0.5, 40)
