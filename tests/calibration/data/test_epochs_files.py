import importlib
import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest

from calibration.data.epochs_files import read_embeddings, read_epochs, read_table
from calibration.errors import FitError
from calibration.fit import fit_trials
from calibration.fit_epochs import fit_ready_made
from configs.schema import Config, FitSettings, WindowSettings
from realtime.decoding.bundle import load_bundle
from tests.support.calibration_examples import CHANNELS, RATE_HZ, make_trials

CONFIG = Config(window=WindowSettings(stop_s=0.4), fit=FitSettings(permutations=24))
UNSCORED = CONFIG.model_copy(update={"fit": FitSettings(permutations=0)})


@pytest.fixture(scope="module")
def made():
    return make_trials(n_pictures=40, signal=2.0)


@pytest.fixture(scope="module")
def expected(made):
    """The map of the same trials, which are not read from a file."""
    trials, targets = made
    inside = trials.times_s >= -1e-9
    cut = replace(trials, samples=trials.samples[:, inside], times_s=trials.times_s[inside])
    return fit_trials(cut, targets, UNSCORED).bundle


def write_npz(path, trials, **change):
    content = {
        "samples": trials.samples,
        "rate": RATE_HZ,
        "tmin": trials.times_s[0],
        "channels": np.array(CHANNELS),
        "pictures": trials.names,
        "concepts": np.array([name[:-1] for name in trials.names]),
    } | change
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


def write_fif(path, trials, metadata=True, bads=(), **columns):
    import mne

    info = mne.create_info(list(CHANNELS), RATE_HZ, "eeg")
    codes = {str(name): code + 1 for code, name in enumerate(np.unique(trials.names))}
    events = np.stack([np.arange(len(trials)) * 100, np.zeros(len(trials)), [codes[n] for n in trials.names]], axis=1)
    columns = columns or {"picture": trials.names}
    table = [dict(zip(columns, map(str, row), strict=True)) for row in zip(*columns.values(), strict=True)]
    if importlib.util.find_spec("pandas"):
        table = importlib.import_module("pandas").DataFrame(table)
    samples = trials.samples.swapaxes(1, 2).astype(np.float64) * 1e-6
    epochs = mne.EpochsArray(
        samples,
        info,
        events.astype(int),
        trials.times_s[0],
        codes,
        metadata=table if metadata else None,
        baseline=None,
        verbose="error",
    )
    epochs.info["bads"] = list(bads)
    epochs.save(path, verbose="error", fmt="single")
    return path


def write_embeddings(path, targets, named=True):
    table, names = targets.gallery.embeddings, list(targets.gallery.names)
    order = np.random.default_rng(0).permutation(len(names)) if named else np.argsort(names)
    table, names = np.ascontiguousarray(table[order]), [names[i] for i in order]
    if path.suffix == ".npy":
        np.save(path, table)
    elif path.suffix == ".npz":
        np.savez(path, embeddings=table, **({"pictures": np.array(names)} if named else {}))
    elif path.suffix == ".pt":
        import torch

        torch.save({"img_features": torch.from_numpy(table)} | ({"pictures": names} if named else {}), path)
    else:
        from safetensors.numpy import save_file

        save_file({"embeddings": table}, path, {"pictures": json.dumps(names)} if named else None)
    return path


@pytest.mark.parametrize("kind", ["epochs.npz", "made-epo.fif", "plain-epo.fif"])
def test_epochs_from_files_give_the_map_of_the_same_trials(made, expected, tmp_path, kind):
    trials, targets = made
    if kind.endswith("npz"):
        file = write_npz(tmp_path / kind, trials)
    else:
        file = write_fif(tmp_path / kind, trials, metadata=kind.startswith("made"))
    bundle = fit_ready_made(file, write_embeddings(tmp_path / "e.npy", targets, named=False), CONFIG).bundle
    np.testing.assert_allclose(bundle.weights, expected.weights, rtol=1e-3, atol=1e-5)
    assert bundle.scores["two_way"] > 0.9
    assert bundle.scores["p"] < 0.05
    assert abs(bundle.scores["baseline_two_way"] - 0.5) < 0.1
    assert bundle.scores["baseline_window_s"] == [-0.2, 0.0]
    bundle.save(tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle").scores == bundle.scores


def test_channels_marked_as_bad_are_left_out_as_from_recordings_and_told(made, tmp_path):
    trials, targets = made
    file = write_fif(tmp_path / "bad-epo.fif", trials, bads=[CHANNELS[1]])
    bundle = fit_ready_made(file, write_embeddings(tmp_path / "e.npy", targets), UNSCORED).bundle
    assert bundle.spec.channels == (CHANNELS[0], *CHANNELS[2:])
    assert bundle.scores["notices"] == [f"bad-epo.fif: marked as bad and left out: {CHANNELS[1]}"]


@pytest.mark.parametrize("suffix", ["npy", "npz", "pt", "safetensors"])
@pytest.mark.parametrize("named", [True, False])
def test_embeddings_of_every_kind(made, tmp_path, suffix, named):
    trials, targets = made
    if suffix == "npy" and named:
        pytest.skip("an .npy file has no names")
    ready = read_epochs(write_npz(tmp_path / "epochs.npz", trials))
    found = read_embeddings(write_embeddings(tmp_path / f"e.{suffix}", targets, named), ready)
    np.testing.assert_array_equal(found.of(trials.names), targets.of(trials.names))
    assert found.space.dims == targets.space.dims
    labels = dict(zip(found.gallery.names, found.gallery.labels, strict=True))
    assert labels[trials.names[0]] == trials.names[0][:-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": None}, "lacks rate"),
        ({"samples": np.zeros((5, 4))}, r"must be \[trials"),
        ({"channels": np.array(["A"])}, r"must be \[trials"),
        ({"concepts": np.array(["x"])}, "1 concepts for 120 trials"),
    ],
)
def test_says_what_is_wrong_with_an_archive(made, tmp_path, change, message):
    with pytest.raises(FitError, match=message):
        read_epochs(write_npz(tmp_path / "epochs.npz", made[0], **change))


def test_says_what_is_wrong_with_other_files(made, tmp_path):
    trials, targets = made
    with pytest.raises(FitError, match="no file"):
        read_epochs(tmp_path / "absent.npz")
    (tmp_path / "bad.npz").write_bytes(b"not an archive")
    with pytest.raises(FitError, match="cannot read"):
        read_epochs(tmp_path / "bad.npz")
    with pytest.raises(FitError, match="no column 'picture'"):
        read_epochs(write_fif(tmp_path / "other-epo.fif", trials, image=trials.names))
    broken = trials.samples.copy()
    broken[3, 2, 1] = np.nan
    with pytest.raises(FitError, match="NaN"):
        read_epochs(write_npz(tmp_path / "nan.npz", trials, samples=broken))
    ready = read_epochs(write_npz(tmp_path / "epochs.npz", trials))
    np.save(tmp_path / "short.npy", targets.gallery.embeddings[:7])
    with pytest.raises(FitError, match="7 rows for 40 pictures"):
        read_embeddings(tmp_path / "short.npy", ready)
    (tmp_path / "bad.pt").write_bytes(b"no")
    with pytest.raises(FitError, match="cannot read embeddings"):
        read_embeddings(tmp_path / "bad.pt", ready)
    far = CONFIG.model_copy(update={"window": WindowSettings(start_s=2.0, stop_s=3.0)})
    with pytest.raises(FitError, match="do not reach"):
        fit_ready_made(tmp_path / "epochs.npz", write_embeddings(tmp_path / "e.npy", targets, False), far)


def test_a_picture_without_embedding_is_named(made, tmp_path):
    trials, targets = made
    ready = read_epochs(write_npz(tmp_path / "epochs.npz", trials))
    np.savez(
        tmp_path / "e.npz", embeddings=targets.gallery.embeddings[1:], pictures=np.array(targets.gallery.names[1:])
    )
    with pytest.raises(FitError, match=targets.gallery.names[0]):
        fit_trials(ready.trials, read_embeddings(tmp_path / "e.npz", ready), CONFIG)


def test_numbers_that_sort_differently_as_text_need_names(made, tmp_path):
    """Laid beside 1, 10, 11, ..., 2 the rows of 1, 2, 3, ... would be other pictures' targets."""
    trials, targets = made
    numbers = {name: str(number + 1) for number, name in enumerate(np.unique(trials.names))}
    named = type(trials)(**{**vars(trials), "names": np.array([numbers[name] for name in trials.names])})
    ready = read_epochs(write_npz(tmp_path / "epochs.npz", named))
    table = targets.of(np.unique(trials.names))
    np.save(tmp_path / "table.npy", table)
    with pytest.raises(FitError, match=r"order is 1, 10, 11, 12, \.\.\. as text and 1, 2, 3, 4, \.\.\. as numbers"):
        read_embeddings(tmp_path / "table.npy", ready)
    np.savez(tmp_path / "table.npz", embeddings=table, pictures=list(numbers.values()))
    found = read_embeddings(tmp_path / "table.npz", ready)
    np.testing.assert_array_equal(found.of(named.names), targets.of(trials.names))
    padded = type(trials)(**{**vars(trials), "names": np.array([numbers[name].zfill(3) for name in trials.names])})
    ready = read_epochs(write_npz(tmp_path / "epochs.npz", padded))
    np.testing.assert_array_equal(
        read_embeddings(tmp_path / "table.npy", ready).of(padded.names), targets.of(trials.names)
    )


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64"])
def test_floats_of_other_widths_are_read(made, tmp_path, suffix, kind):
    import torch
    from safetensors.torch import save_file as save_tensors

    table = torch.from_numpy(made[1].gallery.embeddings).to(getattr(torch, kind))
    file = tmp_path / f"table.{suffix}"
    if suffix == "pt":
        torch.save(table.requires_grad_(), file)
    else:
        save_tensors({"embeddings": table}, file)
    found, _ = read_table(file)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, table.detach().float().numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": np.float64(0)}, "rate 0 Hz"),
        ({"rate": np.float64("nan")}, "rate nan Hz"),
        ({"rate": np.array([50.0, 50.0])}, "cannot read"),
        ({"samples": np.full((120, 30, 4), "x")}, "samples are of type <U1"),
        ({"pictures": np.array([b"\xff"] * 120)}, "utf-8' codec"),
    ],
)
def test_odd_archives_are_refused_in_one_line(made, tmp_path, change, message):
    with pytest.raises(FitError, match=message) as refused:
        read_epochs(write_npz(tmp_path / "epochs.npz", made[0], **change))
    assert "\n" not in str(refused.value)


def test_odd_tables_are_refused_in_one_line(made, tmp_path):
    ready = read_epochs(write_npz(tmp_path / "epochs.npz", made[0]))
    name, table = made[0].names[0], np.zeros((2, 3), np.float32)
    np.savez(tmp_path / "twice.npz", embeddings=table, pictures=[name, name])
    with pytest.raises(FitError, match="has two rows for"):
        read_embeddings(tmp_path / "twice.npz", ready)
    np.save(tmp_path / "text.npy", np.full((2, 3), "x"))
    with pytest.raises(FitError, match="embeddings of type <U1 must be finite numbers"):
        read_table(tmp_path / "text.npy")
    (tmp_path / "short.npz").write_bytes(b"PK\x03\x04short")
    with pytest.raises(FitError, match="cannot read embeddings"):
        read_table(tmp_path / "short.npz")
