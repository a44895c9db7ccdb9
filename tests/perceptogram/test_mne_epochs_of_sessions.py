"""From recordings to MNE's epochs and from those to a bundle: the same as from the recordings themselves."""

import json

import mne
import numpy as np
import pytest

import perceptogram
from calibration.data.mne_epochs import as_trials, records
from calibration.errors import FitError
from calibration.fit import fit
from calibration.fit_epochs import fit_epochs
from perceptogram.testing import write_recording
from stimuli.pictures import choose_pictures, open_pictures
from tests.support.command import perceptogram as command
from tests.support.simulated import session_config


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    few = {"permutations": 20, "folds": 2, "windows": [], "smooth_s": [0.0], "alphas": [1e3, 1e5]}
    channels = ["P7", "P3", "Pz", "P4", "P8", "PO7", "POz", "PO8", "O1", "Oz", "O2"]
    config = session_config("epochs", fit=few, stream={"name": "epochs EEG", "channels": channels})
    names = list(choose_pictures(open_pictures(config.pictures, "calibration"), 60, seed=0))
    path = write_recording(folder / "run1.xdf", config, names, every_s=0.2)
    epochs = perceptogram.read_epochs([path], config)
    epochs.save(folder / "run1-epo.fif", fmt="double", verbose="error")
    return config, path, epochs, folder / "run1-epo.fif"


def test_epochs_are_what_a_map_is_fitted_on(lab):
    config, _, epochs, file = lab
    assert isinstance(epochs, mne.BaseEpochs)
    cut = as_trials(mne.read_epochs(file, verbose="error"))
    assert cut.changed is None
    assert cut.recordings == ("run1.xdf",)
    assert cut.config == config.model_validate(config.model_dump())
    again = as_trials(epochs)
    np.testing.assert_array_equal(again.trials.samples, cut.trials.samples)
    assert again.trials.filters == cut.trials.filters
    assert epochs.get_montage() is not None
    assert records(epochs.metadata)[0]["picture"] in epochs.event_id


def test_the_bundle_is_that_of_the_recordings(lab):
    config, path, _, file = lab
    direct = fit([path], config)
    result, settings = fit_epochs(file, None, None)
    made = result.bundle
    np.testing.assert_array_equal(made.weights, direct.weights)
    np.testing.assert_array_equal(made.bias, direct.bias)
    np.testing.assert_array_equal(made.gallery.embeddings, direct.gallery.embeddings)
    same = {key: value for key, value in direct.scores.items() if not key.startswith("baseline_")}
    assert made.scores == same
    assert made.offline is None
    assert made.completed(config) == direct.completed(config)
    assert made.provenance["recordings"] == ["run1.xdf", "run1-epo.fif"]
    assert settings.window == config.window


def test_single_precision_and_dropped_trials_are_no_change_but_filters_are(lab, tmp_path):
    _, _, epochs, _ = lab
    epochs.save(tmp_path / "single-epo.fif", verbose="error")
    single = as_trials(mne.read_epochs(tmp_path / "single-epo.fif", verbose="error"))
    assert single.changed is None
    some = as_trials(epochs[::2])
    assert some.changed is None
    np.testing.assert_array_equal(some.trials.samples, as_trials(epochs).trials.samples[::2])
    filtered = epochs.copy().filter(None, 20.0, verbose="error")
    assert "samples were changed" in as_trials(filtered).changed
    assert "window" in as_trials(epochs.copy().crop(0.1, None)).changed
    assert "channels" in as_trials(epochs.copy().pick(["Oz", "Pz"])).changed
    assert "samples" in as_trials(epochs.copy().set_eeg_reference(verbose="error")).changed
    filtered.save(tmp_path / "filtered-epo.fif", verbose="error")
    result, _ = fit_epochs(tmp_path / "filtered-epo.fif", None, None)
    assert "set filters" in result.bundle.offline


def test_other_settings_are_refused(lab):
    config, _, _, file = lab
    other = config.model_copy(update={"filters": config.filters.model_copy(update={"lowpass_hz": 30.0})})
    with pytest.raises(FitError, match=r"other settings than --config has \(filters\)"):
        fit_epochs(file, None, other)


def test_epochs_of_others_need_their_targets(lab, tmp_path):
    _, _, epochs, _ = lab
    foreign = mne.EpochsArray(epochs.get_data(), mne.create_info(epochs.ch_names, 125.0, "eeg"), verbose="error")
    foreign.save(tmp_path / "foreign-epo.fif", verbose="error")
    with pytest.raises(FitError, match=r"not made by perceptogram\.read_epochs"):
        fit_epochs(tmp_path / "foreign-epo.fif", None, None)


def test_windows_before_onset_are_of_the_same_length(lab):
    config, path, epochs, _ = lab
    before = perceptogram.read_epochs([path], config, pre_stimulus=True)
    assert len(before.times) == len(epochs.times)
    assert before.times[-1] == pytest.approx(-1 / epochs.info["sfreq"])


@pytest.mark.processes
@pytest.mark.slow
def test_the_command_fits_replays_and_reports(lab, tmp_path):
    config, path, _, file = lab
    (tmp_path / "lab.yaml").write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
    done = command("fit", "--epochs", file, "--out", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    assert "Calibration report" in (tmp_path / "b" / "report.html").read_text()
    done = command(
        "replay", path, "--bundle", tmp_path / "b", "--config", tmp_path / "lab.yaml",
        "--out", tmp_path / "o", "--no-render",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "o" / "summary.json").read_text())["n_trials"] > 40
