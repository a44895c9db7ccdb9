"""Low against high spatial frequency: a real recording, small enough for a test."""

import pytest

from benchmarks import accuracy
from benchmarks.report import newest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(shared_data):
    assert shared_data == accuracy.DATA
    return accuracy.score(accuracy.muse("muse_spatial_freq"), curve=(80,))


def test_a_real_recording_is_read_from_single_trials_of_runs_left_out(found):
    assert found["n_trials"] == sum(found["n_by_run"])
    assert found["auc"] > 0.69
    assert found["low"] < found["auc"] < found["high"]
    assert sum(found["chosen"].values()) == len(found["n_by_run"]) == 3


def test_before_onset_there_is_nothing(found):
    assert found["before_onset"] == pytest.approx(0.5, abs=0.1)


def test_the_elder_map_and_peers_stand_beside(found):
    assert 0.6 < found["today"] < 0.8
    assert found["peers"].keys() == accuracy.peers().keys()
    assert all(0.55 < score < 0.8 for score in found["peers"].values())
    assert 0.55 < found["curve"]["80"] < 0.8


def test_a_run_that_was_cut_off_goes_on(shared_data, tmp_path, monkeypatch):
    measured = []

    def once(name, fails=False):
        if fails:
            raise KeyboardInterrupt
        measured.append(name)
        return dict.fromkeys(("before_onset", "today", "auc", "low", "high"), 0.6) | {
            "name": name, "n_trials": 3, "peers": {},
        }  # fmt: skip

    monkeypatch.setattr(accuracy, "CASES", ())
    for fails in (True, False):
        sets = [("a", lambda: once("a")), ("b, person 1", lambda fails=fails: once("b, person 1", fails))]
        monkeypatch.setattr(accuracy, "recordings", lambda sets=sets: iter(sets))
        if fails:
            with pytest.raises(KeyboardInterrupt):
                accuracy.run(out=tmp_path)
    found = accuracy.run(out=tmp_path)["sets"]
    assert [one["name"] for one in found] == measured == ["a", "b, person 1"]


def test_what_is_published_is_nowhere_below_the_elder_map_by_more_than_it_is_uncertain():
    sets = {one["name"]: one for one in newest()["accuracy"]["result"]["sets"]}
    assert all(one["high"] >= one["today"] for one in sets.values())
    assert set(accuracy.MUSE) < set(sets)
    for name in ("muse_n170", "muse_left_right", "gtec_p300, person 1", "gtec_p300, person 3", "bci2_iib"):
        assert sets[name]["auc"] > sets[name]["today"]
        assert sets[name]["curve"]["40"] > sets[name]["curve_today"]["40"]
