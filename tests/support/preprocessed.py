"""Made-up people in the form of THINGS-EEG2's preprocessed files."""

import pickle

import numpy as np

CHANNELS = ["Pz", "P3", "P7", "O1", "Oz"]
TIMES = np.round(np.arange(-0.2, 0.8, 0.01), 3)
N_TRAINING, N_TEST, DIMS = 300, 40, 10


def as_numpy_saves_it(path, content):
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


def as_pickle_dumps_it(path, content):
    path.write_bytes(pickle.dumps(content, protocol=4))


def write_people(root, subjects, signal=1.0, mark=0.0, own=0.7):
    """Write people whose answers to a picture share a pattern and have a part of their own; return the embeddings.

    `mark` is the size of what each picture leaves in every repeat of every person, whatever it shows. The list of
    channels has one that is only a name, as the published one.
    """
    rng = np.random.default_rng(0)
    training, test = (rng.standard_normal((count, DIMS)).astype(np.float32) + 2 for count in (N_TRAINING, N_TEST))
    shape = (len(CHANNELS), len(TIMES))
    common = rng.standard_normal((DIMS, *shape)) * (TIMES >= 0)
    marks = {
        name: mark * rng.standard_normal((count, *shape))
        for name, count in (("training", N_TRAINING), ("test", N_TEST))
    }
    for subject in range(1, subjects + 1):
        folder = root / f"sub-{subject:02d}"
        folder.mkdir(parents=True)
        turn = np.eye(DIMS) + own * rng.standard_normal((DIMS, DIMS)) / np.sqrt(DIMS)
        pattern = np.einsum("de,ect->dct", turn, common)
        for name, table, repeats, write in (
            ("training", training, 4, as_pickle_dumps_it),
            ("test", test, 8, as_numpy_saves_it),
        ):
            answer = signal * np.einsum("nd,dct->nct", table - 2, pattern) + marks[name]
            data = answer[:, None] + 20 * rng.standard_normal((len(table), repeats, *shape))
            content = {"preprocessed_eeg_data": data, "ch_names": [*CHANNELS, "stim"], "times": TIMES}
            write(folder / f"preprocessed_eeg_{name}.npy", content)
    return training, test
