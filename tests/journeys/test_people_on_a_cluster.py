"""People scored by the workers of a dask cluster, which are processes of their own, give what one process gives."""

import json

import numpy as np
import pytest

from tests.support.command import perceptogram
from tests.support.preprocessed import write_people


@pytest.fixture
def cluster():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as running:
        running.wait_for_workers(2, timeout=60)
        yield running


def test_two_workers_give_the_same_as_none(tmp_path, cluster):
    training, test = write_people(tmp_path / "eeg", subjects=2)
    np.save(tmp_path / "training.npy", training)
    np.save(tmp_path / "test.npy", test)
    given = ("things-eeg2", "--root", tmp_path / "eeg", "--subjects", "1,2", "--training", tmp_path / "training.npy")
    found = {}
    for name, where in (("alone", ()), ("spread", ("--dask", cluster.scheduler_address))):
        out = ("--test", tmp_path / "test.npy", "--out", tmp_path / name, "--json", tmp_path / f"{name}.json")
        done = perceptogram(*given, *out, *where)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert found["spread"] == found["alone"]
    assert len(list((tmp_path / "spread" / "scores").glob("*.json"))) == 4


def test_where_nothing_answers_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("calibration.cluster.TIMEOUT_S", 0.5)
    training, test = write_people(tmp_path / "eeg", subjects=1)
    np.save(tmp_path / "training.npy", training)
    np.save(tmp_path / "test.npy", test)
    done = perceptogram(
        *("things-eeg2", "--root", tmp_path / "eeg", "--subjects", "1", "--training", tmp_path / "training.npy"),
        *("--test", tmp_path / "test.npy", "--out", tmp_path / "out", "--dask", "tcp://127.0.0.1:9"),
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--dask tcp://127.0.0.1:9: no scheduler answers there" in done.stderr
