import pickle

import numpy as np
import pytest

from calibration.errors import FitError
from calibration.things_eeg2 import PUBLISHED, read_part, run_subject, run_subjects, table
from configs.schema import FitSettings

CHANNELS = ["Pz", "P3", "P7", "O1", "Oz"]
TIMES = np.round(np.arange(-0.2, 0.8, 0.01), 3)
SETTINGS = FitSettings(permutations=100, alphas=(1e2, 1e3, 1e4, 1e5))
N_TRAINING, N_TEST, DIMS = 300, 40, 10


def as_numpy_saves_it(path, content):
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


def as_pickle_dumps_it(path, content):
    path.write_bytes(pickle.dumps(content, protocol=4))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two made-up subjects in the format on disk, one file of each kind, with the channel that is only a name."""
    root = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    training, test = rng.standard_normal((N_TRAINING, DIMS)) + 2, rng.standard_normal((N_TEST, DIMS)) + 2
    for subject in (1, 2):
        folder = root / f"sub-{subject:02d}"
        folder.mkdir()
        pattern = rng.standard_normal((DIMS, len(CHANNELS), len(TIMES))) * (TIMES >= 0)
        for name, table_, repeats, write in (
            ("training", training, 4, as_pickle_dumps_it),
            ("test", test, 8, as_numpy_saves_it),
        ):
            signal = np.einsum("nd,dct->nct", table_ - 2, pattern)
            data = signal[:, None] + 20 * rng.standard_normal((len(table_), repeats, len(CHANNELS), len(TIMES)))
            content = {"preprocessed_eeg_data": data, "ch_names": [*CHANNELS, "stim"], "times": TIMES}
            write(folder / f"preprocessed_eeg_{name}.npy", content)
    return root, training, test


def test_protocol_on_a_small_tree(tree):
    root, training, test = tree
    results = run_subjects(root, (1, 2), training, test, SETTINGS, jobs=1)
    for result in results:
        assert result["channels"] == len(CHANNELS)
        assert list(result["by_repeats"]) == ["1", "2", "4", "8"]
        assert result["averaged"]["repeats"] == 8
        assert result["averaged"]["n"] == N_TEST
        assert result["single_trial"]["n"] == N_TEST * 8
        assert result["averaged"]["two_way"] > result["single_trial"]["two_way"] > 0.55
        assert result["averaged"]["two_way"] > 0.9
        assert result["averaged"]["p"] == pytest.approx(1 / 101, rel=1e-4)
        assert result["averaged"]["chance_top1"] == pytest.approx(1 / N_TEST)
        assert abs(result["baseline"]["two_way"] - 0.5) < 0.12
    rows = table(results)
    assert [row[0] for row in rows[:2]] == ["this map, subject 1", "this map, subject 2"]
    assert rows[2][3] == pytest.approx(np.mean([result["averaged"]["two_way"] for result in results]))
    assert len(rows) == 6 + len(PUBLISHED)


def test_subjects_in_parallel_give_the_same(tree):
    root, training, test = tree
    alone = run_subject(root, 2, training, test, SETTINGS)
    # Threads: the point is the backend's setting, and worker processes take longer to start than this takes to run.
    assert run_subjects(root, (2,), training, test, SETTINGS, jobs=2, backend="threading") == [alone]


def test_the_stim_channel_is_dropped_whether_or_not_it_has_data(tmp_path):
    data = np.random.default_rng(0).standard_normal((3, 2, 6, 5))
    content = {"preprocessed_eeg_data": data, "ch_names": ["a", "b", "stim", "c", "d", "e"], "times": np.arange(5)}
    as_numpy_saves_it(tmp_path / "with.npy", content)
    part = read_part(tmp_path / "with.npy")
    assert part.channels == ("a", "b", "c", "d", "e")
    np.testing.assert_allclose(part.samples[:, :, :, 2], data[:, :, 3], rtol=1e-6)
    as_numpy_saves_it(tmp_path / "without.npy", content | {"preprocessed_eeg_data": data[:, :, :5]})
    np.testing.assert_allclose(read_part(tmp_path / "without.npy").samples[:, :, :, 2], data[:, :, 2], rtol=1e-6)


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"preprocessed_eeg_data": np.zeros((2, 3, 4)), "ch_names": list("abcd"), "times": np.arange(4)}, "must be"),
        ({"preprocessed_eeg_data": np.zeros((2, 3, 4, 5)), "ch_names": list("abcd"), "times": np.arange(6)}, "must be"),
        ({"preprocessed_eeg_data": np.zeros((2, 3, 4, 5)), "ch_names": list("ab"), "times": np.arange(5)}, "2 channel"),
        ({"ch_names": [], "times": []}, "KeyError"),
        ({"preprocessed_eeg_data": Evil()}, "neither an array nor a plain value"),
    ],
)
def test_says_what_is_wrong(tmp_path, capsys, content, message):
    for write in (as_numpy_saves_it, as_pickle_dumps_it):
        write(tmp_path / "file.npy", content)
        with pytest.raises(FitError, match=message):
            read_part(tmp_path / "file.npy")
    assert capsys.readouterr().out == ""


def test_says_when_files_and_embeddings_do_not_fit(tree, tmp_path):
    root, training, test = tree
    with pytest.raises(FitError, match="300 training pictures, but 299"):
        run_subject(root, 1, training[:-1], test, SETTINGS)
    with pytest.raises(FitError, match="cannot read"):
        run_subject(tmp_path, 1, training, test, SETTINGS)
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(FitError, match="not a dictionary"):
        read_part(tmp_path / "plain.npy")
    (tmp_path / "broken.npy").write_bytes(b"\x80\x04nonsense")
    with pytest.raises(FitError, match="cannot read"):
        read_part(tmp_path / "broken.npy")
