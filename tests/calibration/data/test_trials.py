from dataclasses import fields, replace

import mne
import numpy as np
import pytest

from calibration.data.reading import read_trials, read_windows
from calibration.data.trials import Trials, check_channels, why_none
from calibration.errors import FitError
from configs.schema import (
    ArtefactSettings,
    Config,
    FilterSettings,
    MarkerSettings,
    StreamSettings,
    WindowSettings,
    load_config,
)
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.sources.recording import open_recording
from tests.support.recording_files import Remarks, Wave, edf_bytes

RATE_HZ = 256
CONFIG = Config(
    stream=StreamSettings(channels=("TP9", "AF7", "TP10"), unit="microvolts"),
    markers=MarkerSettings(classes={"1": "house", "2": "face"}),
    filters=FilterSettings(highpass_hz=1.0, lowpass_hz=20.0),
    window=WindowSettings(stop_s=0.5),
)


def write_csv(path, seconds=40, seed=0, flat=None, hole=None, spike=None, columns=("TP9", "AF7", "AF8", "TP10")):
    """A muse-lsl recording with a marker every second from the fifth on, houses and faces in turn."""
    rng = np.random.default_rng(seed)
    n = seconds * RATE_HZ
    samples = 10 * rng.standard_normal((n, len(columns)))
    if flat is not None:
        samples[:, columns.index(flat)] = 0
    if spike is not None:
        samples[spike * RATE_HZ + 20] += 5000
    lines = ["timestamps," + ",".join(columns) + ",Marker0"]
    for i in range(n):
        marker = 1 + i // RATE_HZ % 2 if i % RATE_HZ == 0 and i >= 5 * RATE_HZ else 0
        if hole is None or not hole * RATE_HZ + 30 <= i < hole * RATE_HZ + 60:
            values = ",".join(f"{value:.3f}" for value in samples[i])
            lines.append(f"{1000 + i / RATE_HZ:.6f},{values},{marker}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_trials_are_those_of_the_live_path(tmp_path):
    file = write_csv(tmp_path / "run.csv")
    trials = read_trials([file], CONFIG)
    recording = open_recording(file, CONFIG)
    pipeline = Pipeline(CONFIG, recording.spec)
    epochs = [event.epoch for item in recording.events() for event in pipeline.push(item) if isinstance(event, Closed)]
    assert len(trials) == len(epochs) == 35
    for mine, epoch in zip(trials.samples, epochs, strict=True):
        assert np.array_equal(mine, epoch.samples)
    assert trials.spec.channels == ("TP9", "AF7", "TP10")
    assert trials.names[:3].tolist() == ["face", "house", "face"]
    np.testing.assert_allclose(np.diff(trials.onsets), 1.0, atol=1e-3)


def test_recordings_are_joined_and_told_apart(tmp_path):
    files = [write_csv(tmp_path / f"run{seed}.csv", seed=seed) for seed in range(2)]
    told = []
    trials = read_trials(files, CONFIG, progress=lambda done, total: told.append((done, total)))
    assert np.bincount(trials.recordings).tolist() == [35, 35]
    assert told == [(0, 2), (1, 2)]
    half = trials.take(trials.recordings == 1)
    assert np.array_equal(half.samples, read_trials(files[1:], CONFIG).samples)
    assert len(half.flags) == 35


def test_a_hole_costs_the_trials_it_touches_and_no_others(tmp_path):
    whole = read_trials([write_csv(tmp_path / "whole.csv")], CONFIG)
    holed = read_trials([write_csv(tmp_path / "holed.csv", hole=20)], CONFIG)
    assert holed.lost == 30
    assert 1020 not in holed.onsets.round()
    assert 1 <= len(holed.refused) <= 4
    assert all("lost" in refusal.reason for refusal in holed.refused)
    assert {refusal.kind for refusal in holed.refused} == {"lost-samples"}
    assert len(holed) + len(holed.refused) == len(whole)


def test_artefacts_are_flagged_and_dropped_only_when_asked(tmp_path):
    file = write_csv(tmp_path / "run.csv", spike=12)
    trials = read_trials([file], CONFIG)
    flagged = [bool(flags) for flags in trials.flags]
    assert flagged[7]
    assert sum(flagged) <= 2
    dropped = read_trials([file], CONFIG.model_copy(update={"artefacts": ArtefactSettings(drop=True)}))
    assert len(dropped) == len(trials) - sum(flagged)
    assert dropped.refused[0].name == trials.names[7]


def test_the_pre_stimulus_window_ends_at_onset():
    moved = WindowSettings(stop_s=0.8, baseline_s=(-0.2, 0.0)).pre_stimulus(250)
    assert (moved.start_s, moved.stop_s) == (-0.8, 0.0)
    assert moved.baseline_s == pytest.approx((-1.0, -0.8))


def test_the_pre_stimulus_window_holds_nothing_of_what_comes_after(tmp_path):
    quiet = read_windows([write_csv(tmp_path / "run.csv")], CONFIG).pre_stimulus
    text = (tmp_path / "run.csv").read_text().splitlines()
    onset = next(i for i, line in enumerate(text) if line.startswith(f"{1000 + 20:.6f}"))
    loud = [",".join([line.split(",")[0], "900", "900", "900", "900", line.split(",")[-1]]) for line in text[onset:]]
    (tmp_path / "loud.csv").write_text("\n".join([*text[:onset], *loud]) + "\n")
    changed = read_windows([tmp_path / "loud.csv"], CONFIG).pre_stimulus
    upto = quiet.onsets.round() <= 1020
    assert upto.sum() == 16
    np.testing.assert_array_equal(changed.samples[upto], quiet.samples[upto])


def same(one, other):
    """Whether two sets of trials agree in every bit and every word."""
    for field in fields(Trials):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
        else:
            assert mine == theirs, field.name
    return True


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """Two recordings with holes and artefacts."""
    folder = tmp_path_factory.mktemp("spoilt")
    return [write_csv(folder / "one.csv", hole=20, spike=12), write_csv(folder / "two.csv", seed=1, hole=9)]


@pytest.mark.parametrize(
    ("window", "filters"),
    [
        (WindowSettings(stop_s=0.5), {}),
        (WindowSettings(start_s=0.05, stop_s=0.5, baseline_s=(-0.2, 0.0)), {}),
        (WindowSettings(start_s=0.1004, stop_s=0.7771, baseline_s=(-0.103, -0.001)), {"rate_hz": 64.0}),
        (WindowSettings(start_s=-0.1, stop_s=0.3), {}),
    ],
)
def test_one_reading_gives_the_trials_of_two(spoilt, window, filters):
    """Over holes, dropped artefacts and the time before the filters settled: each kind of window is judged alone."""
    config = CONFIG.model_copy(
        update={
            "window": window,
            "artefacts": ArtefactSettings(drop=True),
            "filters": CONFIG.filters.model_copy(update=filters),
        }
    )
    windows = read_windows(spoilt, config)
    moved = config.model_copy(update={"window": window.pre_stimulus(windows.trials.rate_hz)})
    assert same(windows.trials, read_trials(spoilt, config))
    assert same(windows.pre_stimulus, read_trials(spoilt, moved))
    assert windows.pre_stimulus.samples.shape[1:] == windows.trials.samples.shape[1:]
    assert len(windows.trials.refused) > 2


def test_one_reading_of_real_eeg_gives_the_trials_of_two(shared_data, tmp_path):
    lines = (shared_data / "muse_n170" / "run1.csv").read_text().splitlines()[:8000]
    (tmp_path / "run1.csv").write_text("\n".join(lines) + "\n")
    files, config = [tmp_path / "run1.csv"], load_config("muse_n170")
    windows = read_windows(files, config)
    moved = config.model_copy(update={"window": config.window.pre_stimulus(windows.trials.rate_hz)})
    assert same(windows.trials, read_trials(files, config))
    assert same(windows.pre_stimulus, read_trials(files, moved))


def test_trials_come_without_pre_stimulus_windows_where_the_recording_starts_too_late(tmp_path):
    config = CONFIG.model_copy(update={"window": WindowSettings(stop_s=15)})
    lines = write_csv(tmp_path / "run.csv", seconds=22).read_text().splitlines()
    lines[8 * RATE_HZ :] = [line[: line.rindex(",")] + ",0" for line in lines[8 * RATE_HZ :]]
    (tmp_path / "run.csv").write_text("\n".join(lines) + "\n")
    windows = read_windows([tmp_path / "run.csv"], config)
    assert len(windows.trials) == 3
    assert not len(windows.pre_stimulus)
    assert "starts before the time axis" in why_none(windows.pre_stimulus, config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            CONFIG.model_copy(update={"markers": MarkerSettings(classes={"7": "car"})}),
            "no marker with one of the labels 7",
        ),
        (CONFIG.model_copy(update={"markers": MarkerSettings()}), "no marker of a picture"),
        (CONFIG.model_copy(update={"window": WindowSettings(stop_s=90)}), "no usable trial: all 35 were refused"),
        (CONFIG.model_copy(update={"stream": StreamSettings(channels=("Cz",))}), "Cz"),
    ],
)
def test_says_what_is_wrong(tmp_path, config, message):
    with pytest.raises(ValueError, match=message):
        read_trials([write_csv(tmp_path / "run.csv")], config)


def test_refuses_other_streams_and_nothing_at_all(tmp_path):
    one = write_csv(tmp_path / "one.csv")
    other = write_csv(tmp_path / "other.csv", columns=("TP9", "AF7", "Cz"))
    every = CONFIG.model_copy(update={"stream": StreamSettings(unit="microvolts")})
    with pytest.raises(FitError, match="channels missing: AF8, TP10"):
        read_trials([one, other], every)
    with pytest.raises(FitError, match="no recordings"):
        read_trials([], CONFIG)


def test_a_channel_that_never_moves_is_named(tmp_path):
    trials = read_trials([write_csv(tmp_path / "run.csv", flat="AF7")], CONFIG)
    with pytest.raises(FitError, match="flat throughout: AF7"):
        check_channels(trials)


def test_recordings_are_joined_by_the_names_of_their_channels(tmp_path):
    folders = [tmp_path / name for name in ("first.edf", "second.edf", "bad_raw.fif")]
    seconds = np.arange(30 * 250) / 250
    slow, fast = 20 * np.sin(2 * np.pi * 5 * seconds), 5 * np.sin(2 * np.pi * 11 * seconds)
    notes = Remarks([(second, 0.0, b"%d" % (1 + second % 2)) for second in range(5, 25)])
    folders[0].write_bytes(edf_bytes([Wave("Fz", slow), Wave("Cz", fast)], notes, "EDF+C"))
    folders[1].write_bytes(edf_bytes([Wave("Oz", slow), Wave("Cz", fast), Wave("Fz", slow)], notes, "EDF+C"))
    config = Config(markers=MarkerSettings(classes={"1": "cat", "2": "house"}))
    trials = read_trials(folders[:2], config)
    assert trials.spec.channels == ("Fz", "Cz")
    swing = np.ptp(trials.samples, axis=1)
    assert (swing[:, 0] > 3 * swing[:, 1]).all()
    assert set(trials.recordings.tolist()) == {0, 1}
    turned = read_trials(folders[:1], config, like=replace(trials.spec, channels=("Cz", "Fz")))
    assert turned.spec.channels == ("Cz", "Fz")
    assert np.array_equal(turned.samples, trials.samples[trials.recordings == 0][:, :, ::-1])

    raw = mne.io.RawArray(1e-6 * np.stack([slow, fast]), mne.create_info(["Fz", "Cz"], 250, "eeg"), verbose="error")
    raw.info["bads"] = ["Cz"]
    raw.set_annotations(mne.Annotations([5.0, 6.0], 0, ["1", "2"])).save(folders[2], verbose="error")
    with pytest.raises(FitError, match="channels missing: Cz; marked as bad and left out: Cz; name them"):
        read_trials([folders[0], folders[2]], config)
    assert read_trials([folders[2]], config).notices == (
        "bad_raw.fif: marked as bad and left out: Cz; name them in stream.channels to use them",
    )
