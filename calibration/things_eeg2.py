"""THINGS-EEG2 (Gifford et al. 2022), from its preprocessed files to a table beside published numbers.

On disk, for each subject ``sub-XX/preprocessed_eeg_training.npy`` (16,540 pictures × 4 repeats) and
``sub-XX/preprocessed_eeg_test.npy`` (200 × 80), each a dictionary of ``preprocessed_eeg_data [pictures, repeats,
channels, times]``, ``ch_names`` and ``times``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.targets import given_targets
from calibration.errors import FitError
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import Mapping, fit_map
from calibration.scores import retrieval
from calibration.statistics import mean_interval, permutation_p, rounded
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery
from realtime.spaces import EmbeddingSpace

STOP_S = 0.8
REPEATS = (1, 2, 4, 8, 20, 40, 80)
PUBLISHED: tuple[tuple[str, float, float], ...] = (
    ("NICE (ICLR 2024)", 0.161, 0.436),
    ("ATM (NeurIPS 2024)", 0.271, 0.581),
    ("UBP (CVPR 2025)", 0.509, 0.797),
    ("NeuroBridge (AAAI 2026)", 0.632, 0.899),
    ("SAMGA (2026)", 0.913, 0.988),
)
"""Top-1 and top-5 of 200: mean of ten subjects, 17 channels, 80 test repeats averaged (SAMGA, 2604.17782, table I)."""

_PLAIN = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True)
class Part:
    """One file: float32 ``[pictures, repeats, times, channels]``, channel names and times in seconds."""

    samples: NDArray[np.float32]
    channels: tuple[str, ...]
    times_s: NDArray[np.float64]


class _PlainUnpickler(pickle.Unpickler):
    """Reads arrays and plain containers and refuses everything else: a downloaded file runs no code."""

    def find_class(self, module: str, name: str) -> Any:
        # What numpy 1 wrote names the package's old place.
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in _PLAIN:
            msg = f"it holds {module}.{name}, which is neither an array nor a plain value"
            raise pickle.UnpicklingError(msg)
        return super().find_class(module, name)


def read_part(path: str | Path) -> Part:
    """Return the trials in one preprocessed file.

    The published channel list may end in ``stim`` where the data have no such channel, or have it as one more: it is
    dropped from wherever it is.

    Raises
    ------
    FitError
        If the file cannot be read, or its shapes do not fit each other.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = _unpickle(file)
        samples = np.asarray(content["preprocessed_eeg_data"])
        channels = [str(name) for name in content["ch_names"]]
        times_s = np.asarray(content["times"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        msg = f"cannot read {path}: {type(error).__name__}: {error}"
        raise FitError(msg) from error
    if samples.ndim != 4 or samples.shape[3] != len(times_s):
        msg = f"{path}: data {samples.shape} must be [pictures, repeats, channels, times ({len(times_s)})]"
        raise FitError(msg)
    if "stim" in channels:
        place = channels.index("stim")
        if len(channels) == samples.shape[2]:
            samples = np.delete(samples, place, axis=2)
        channels.pop(place)
    if len(channels) != samples.shape[2]:
        msg = f"{path}: {len(channels)} channel names for {samples.shape[2]} channels"
        raise FitError(msg)
    return Part(samples.swapaxes(2, 3).astype(np.float32), tuple(channels), times_s)


def _unpickle(file: IO[bytes]) -> Any:
    """Return the dictionary in `file`: pickled as it is, or as numpy's array of one object."""
    if file.read(6) != b"\x93NUMPY":
        file.seek(0)
        return _PlainUnpickler(file).load()
    file.seek(0)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(file)
    if not dtype.hasobject:
        msg = "it holds a plain array, not a dictionary"
        raise ValueError(msg)
    return _PlainUnpickler(file).load().item()


def run_subject(
    root: str | Path,
    subject: int,
    training: NDArray[np.floating[Any]],
    test: NDArray[np.floating[Any]],
    settings: FitSettings,
    label: str = "given",
) -> dict[str, Any]:
    """Return one subject's scores by the paper's protocol and by the number of test repeats, down to single trials.

    The map is fitted on the mean of each training picture's repeats, from 0 to 800 ms, alpha and re-standardisation
    within the training pictures: nothing is taken from the test set, where the paper's code re-standardises by it.

    Parameters
    ----------
    root
        Folder that holds ``sub-01`` and so on.
    subject
        Number of the subject, from 1.
    training, test
        Embeddings ``[pictures, dims]`` in the files' order.
    settings
        Alphas, folds, whitening, seed.
    label
        Name of the embedding space.

    Raises
    ------
    FitError
        If a file cannot be read or does not fit the embeddings.
    """
    folder = Path(root) / f"sub-{subject:02d}"
    learned = read_part(folder / "preprocessed_eeg_training.npy")
    tested = read_part(folder / "preprocessed_eeg_test.npy")
    for name, part, table in (("training", learned, training), ("test", tested, test)):
        if len(part.samples) != len(table):
            msg = f"subject {subject}: {len(part.samples)} {name} pictures, but {len(table)} {name} embeddings"
            raise FitError(msg)
    if learned.channels != tested.channels or not np.array_equal(learned.times_s, tested.times_s):
        msg = f"subject {subject}: training and test files differ in channels or times"
        raise FitError(msg)
    names = [f"test-{place:05d}" for place in range(len(test))]
    space = EmbeddingSpace(label, "given", test.shape[1])
    gallery = given_targets(names, names, test.astype(np.float32), space).gallery
    means = learned.samples.mean(axis=1)
    result: dict[str, Any] = {"subject": subject, "channels": len(learned.channels), "n_training": len(training)}
    mapping = _fit(means, learned.times_s, training, settings, before=False)
    result |= {"alpha": mapping.alpha, "by_repeats": {}}
    after = _inside(tested.times_s, before=False)
    for repeats in [count for count in REPEATS if count <= tested.samples.shape[1]]:
        result["by_repeats"][str(repeats)] = _score(mapping, tested.samples[:, :, after], repeats, gallery, settings)
    result |= {"averaged": result["by_repeats"][str(repeats)], "single_trial": result["by_repeats"]["1"]}
    earlier = _inside(tested.times_s, before=True)
    if np.count_nonzero(earlier) > 1:
        null = _fit(means, learned.times_s, training, settings, before=True)
        result["baseline"] = _score(null, tested.samples[:, :, earlier], repeats, gallery, settings)
    found: dict[str, Any] = rounded(result)
    return found


def run_subjects(
    root: str | Path,
    subjects: Sequence[int],
    training: NDArray[np.floating[Any]],
    test: NDArray[np.floating[Any]],
    settings: FitSettings,
    jobs: int = 1,
    backend: str = "loky",
    run: Callable[..., dict[str, Any]] = run_subject,
) -> list[dict[str, Any]]:
    """Return the scores of several subjects, one dictionary each.

    Parameters
    ----------
    root
        Folder that holds ``sub-XX``.
    subjects
        Numbers of the subjects.
    training, test
        Embeddings of the training pictures ``[16540, dims]`` and of the test pictures ``[200, dims]``.
    settings
        Alphas, folds and seed of the fit.
    jobs
        How many subjects are fitted at a time; each takes several GB of memory.
    backend
        joblib's backend: loky, dask, ray, ...
    run
        What is run for each subject.
    """
    from joblib import Parallel, delayed, parallel_config  # type: ignore[import-untyped]

    with parallel_config(backend=backend, n_jobs=jobs):
        return list(Parallel()(delayed(run)(root, subject, training, test, settings) for subject in subjects))


def table(results: Sequence[dict[str, Any]]) -> list[tuple[str, float, float, float | None]]:
    """Return rows of name, top-1, top-5 and two-way: ours by subject and on average, then what was published."""

    def mean(kind: str, score: str) -> float:
        return float(np.mean([result[kind][score] for result in results]))

    rows: list[tuple[str, float, float, float | None]] = []
    for result in results:
        each = result["averaged"]
        rows.append((f"this map, subject {result['subject']}", each["top1"], each["top5"], each["two_way"]))
    count = results[0]["averaged"]["repeats"]
    for name, kind in ((f"this map, {count} repeats", "averaged"), ("this map, single trial", "single_trial")):
        rows.append((f"{name}, mean", mean(kind, "top1"), mean(kind, "top5"), mean(kind, "two_way")))
    if all("baseline" in result for result in results):
        rows.append(("before onset, mean", *(mean("baseline", score) for score in ("top1", "top5", "two_way"))))  # type: ignore[arg-type]
    rows.append(("chance", results[0]["averaged"]["chance_top1"], results[0]["averaged"]["chance_top5"], 0.5))
    return rows + [(f"published: {name}", top1, top5, None) for name, top1, top5 in PUBLISHED]


def _inside(times_s: NDArray[np.float64], before: bool) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = times_s < -1e-6 if before else (times_s >= -1e-6) & (times_s < STOP_S - 1e-6)
    return inside


def _fit(
    means: NDArray[np.float32],
    times_s: NDArray[np.float64],
    training: NDArray[np.floating[Any]],
    settings: FitSettings,
    before: bool,
) -> Mapping:
    keep = _inside(times_s, before)
    pictures = np.arange(len(means))
    examples = Examples(means[:, keep], training, pictures, pictures, np.ones(len(means), np.bool_))
    layout = Layout(0, np.zeros(np.count_nonzero(keep)), times_s[keep])
    return fit_map(examples, layout, settings.moved(-STOP_S) if before else settings)


def _score(
    mapping: Mapping, samples: NDArray[np.float32], repeats: int, gallery: Gallery, settings: FitSettings
) -> dict[str, Any]:
    """Return the scores of means of `repeats` of the trials ``[pictures, repeats, times, channels]``."""
    pictures, present = samples.shape[:2]
    count = present // repeats
    order = np.random.default_rng(settings.seed).permutation(present)[: count * repeats]
    groups = samples[:, order].reshape(pictures, count, repeats, *samples.shape[2:]).mean(axis=2)
    own = np.repeat(np.arange(pictures), count)
    predicted = mapping.map.predict(groups.reshape(pictures * count, *samples.shape[2:]))
    compared = replace(gallery, likelihood=mapping.comparison.likelihood)
    found = retrieval.retrieve(predicted, own, np.zeros(len(own), np.int64), compared)
    top1, top5 = (found.rank < 1).astype(np.float64), (found.rank < 5).astype(np.float64)
    null = retrieval.null_by_pictures(found, settings.permutations, settings.seed)
    two_way = float(found.two_way.mean())
    return {
        "repeats": repeats,
        "top1": float(top1.mean()),
        "top1_interval": mean_interval(top1, own, settings.seed),
        "chance_top1": retrieval.chance(found, 1),
        "top5": float(top5.mean()),
        "chance_top5": retrieval.chance(found, 5),
        "two_way": two_way,
        "two_way_interval": mean_interval(found.two_way, own, settings.seed),
        "p": permutation_p(two_way, null),
        "n": len(own),
    }
