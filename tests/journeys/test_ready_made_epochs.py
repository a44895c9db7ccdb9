"""Ready-made epochs: ``fit`` reports and says what comes of them; what needs a stream refuses with the same words."""

import json

import numpy as np
import pytest

from tests.support.command import perceptogram


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    table = rng.normal(size=(20, 6)).astype(np.float32)
    shown = rng.permutation(np.repeat(np.arange(20), 4))
    mixing = rng.normal(size=(6, 30, 3))
    samples = 4 * np.einsum("nd,dtc->ntc", table[shown], mixing) + rng.normal(0, 3, (80, 30, 3))
    samples[:, :10] = rng.normal(0, 3, (80, 10, 3))
    names = np.array([f"p{number:02d}" for number in shown])
    np.savez(folder / "x.npz", samples=samples, rate=50.0, tmin=-0.2, channels=["O1", "Oz", "O2"], pictures=names)
    np.save(folder / "table.npy", table)
    done = perceptogram(
        "fit", "--epochs", folder / "x.npz", "--embeddings", folder / "table.npy", "--out", folder / "b"
    )
    assert done.returncode == 0, done.stderr
    return folder / "b", " ".join(done.stdout.split())


def test_fit_says_what_the_bundle_can_do_and_reports(bundle):
    folder, said = bundle
    assert "was fitted on ready-made epochs (x.npz)" in said
    assert "decodes no stream or recording" in said
    assert "Calibration report" in (folder / "report.html").read_text()
    assert json.loads((folder / "bundle.json").read_text())["offline"] in said


@pytest.mark.parametrize("command", ["run", "replay", "evaluate", "maps"])
def test_what_needs_a_stream_refuses_at_once_with_the_same_words(bundle, tmp_path, command):
    folder, _ = bundle
    (tmp_path / "lab.yaml").write_text("stream:\n  name: Nobody\n  timeout_s: 60\n")
    config = ("--config", tmp_path / "lab.yaml")
    arguments = {
        "run": ("--bundle", folder, *config, "--out", tmp_path / "o"),
        "replay": (tmp_path / "none.csv", "--bundle", folder, *config, "--out", tmp_path / "o"),
        "evaluate": (folder, tmp_path / "none.csv", *config),
        "maps": (folder, tmp_path / "none.csv", *config, "--out", tmp_path / "o"),
    }[command]
    done = perceptogram(command, *arguments)
    assert done.returncode == 2
    assert "decodes no stream or recording" in " ".join(done.stderr.split())
    assert not (tmp_path / "o").exists()
