"""Preprocessed files of others: read where they hold arrays, refused in one line where they hold anything else."""

import pickle

import numpy as np
import pytest

from calibration.data.pickled_arrays import read_preprocessed
from calibration.errors import FitError
from tests.support.command import perceptogram
from tests.support.preprocessed import as_numpy_saves_it, as_pickle_dumps_it


def test_the_stim_channel_is_dropped_whether_or_not_it_has_data(tmp_path):
    data = np.random.default_rng(0).standard_normal((3, 2, 6, 5))
    content = {"preprocessed_eeg_data": data, "ch_names": ["a", "b", "stim", "c", "d", "e"], "times": np.arange(5)}
    as_numpy_saves_it(tmp_path / "with.npy", content)
    part = read_preprocessed(tmp_path / "with.npy")
    assert part.channels == ("a", "b", "c", "d", "e")
    np.testing.assert_allclose(part.samples[:, :, :, 2], data[:, :, 3], rtol=1e-6)
    as_numpy_saves_it(tmp_path / "without.npy", content | {"preprocessed_eeg_data": data[:, :, :5]})
    np.testing.assert_allclose(
        read_preprocessed(tmp_path / "without.npy").samples[:, :, :, 2], data[:, :, 2], rtol=1e-6
    )


class Evil:
    def __init__(self, does, *arguments):
        self._made = does, arguments

    def __reduce__(self):
        return self._made


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"preprocessed_eeg_data": np.zeros((2, 3, 4)), "ch_names": list("abcd"), "times": np.arange(4)}, "must be"),
        ({"preprocessed_eeg_data": np.zeros((2, 3, 4, 5)), "ch_names": list("abcd"), "times": np.arange(6)}, "must be"),
        ({"preprocessed_eeg_data": np.zeros((2, 3, 4, 5)), "ch_names": list("ab"), "times": np.arange(5)}, "2 channel"),
        ({"preprocessed_eeg_data": np.full((1, 1, 1, 1), "x"), "ch_names": ["a"], "times": [0]}, "must be numbers"),
        ({"ch_names": [], "times": []}, "KeyError"),
        ({"preprocessed_eeg_data": Evil(print, "this must not run")}, "neither an array nor a plain value"),
        ({"preprocessed_eeg_data": Evil(eval, "print('this must not run')")}, "neither an array nor a plain value"),
        ({"preprocessed_eeg_data": Evil(getattr, "x", "upper")}, "neither an array nor a plain value"),
    ],
)
def test_says_what_is_wrong(tmp_path, capsys, content, message):
    for write in (as_numpy_saves_it, as_pickle_dumps_it):
        write(tmp_path / "file.npy", content)
        with pytest.raises(FitError, match=message) as told:
            read_preprocessed(tmp_path / "file.npy")
        assert "\n" not in str(told.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("commands", [b"\x80\x04nonsense", b"", b"R.", b"(dR.", b"\x80\x04\x8c\x01a\x85.", b"0." * 9])
def test_a_broken_pickle_is_one_line(tmp_path, commands):
    (tmp_path / "broken.npy").write_bytes(commands)
    with pytest.raises(FitError, match="cannot read") as told:
        read_preprocessed(tmp_path / "broken.npy")
    assert "\n" not in str(told.value)


def test_a_plain_array_is_no_dictionary(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(FitError, match="not a dictionary"):
        read_preprocessed(tmp_path / "plain.npy")


def test_the_command_refuses_a_hostile_file_in_one_line(tmp_path):
    folder = tmp_path / "sub-01"
    folder.mkdir()
    for part in ("training", "test"):
        (folder / f"preprocessed_eeg_{part}.npy").write_bytes(pickle.dumps(Evil(print, "this must not run")))
        np.save(tmp_path / f"{part}.npy", np.random.default_rng(len(part)).standard_normal((4, 3)))
    tables = ("--training", tmp_path / "training.npy", "--test", tmp_path / "test.npy")
    done = perceptogram("things-eeg2", "--root", tmp_path, "--subjects", "1", *tables)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "builtins.print, which is neither an array nor a plain value" in done.stderr
    assert "this must not run" not in done.stdout
