"""A made-up BIDS data set in the layout of THINGS-EEG2: people who see drawn pictures, five a second, at 1,000 Hz."""

import csv
from dataclasses import dataclass
from pathlib import Path

import mne
import mne_bids
import numpy as np
from PIL import Image

from calibration.data.embeddings import load_encoder
from calibration.data.targets import cache_folder
from configs.schema import PictureSettings
from stimuli.pictures import choose_pictures, open_pictures

_EVERY = """
Fp1 AF7 AFz AF8 F5 F1 F2 F6 FT9 FC5 FC1 FC4 FT8 T7 C3 Cz C4 T8 TP7 CP3 CPz CP4 TP8 P7 P3 Pz P4 P8 PO3 PO4 O1 O2
"""
CHANNELS = tuple(_EVERY.split())
RATE_HZ, EVERY_S, LEAD_IN_S = 1000, 0.2, 12.0
SECONDS = {"train": 80, "test": 40}
N_PICTURES = {"train": 160, "test": 20}
"""With the lead-in, in which the filters settle, as many as are each shown twice or seven times in a run."""
REPEATS = {"train": 2, "test": 6}
FOLDERS = {"train": "training_images", "test": "test_images"}
_PARTS = 8
"""Directions of the embeddings that the made-up brains answer to."""


@dataclass(frozen=True)
class Shown:
    """Pictures of a data set: file below ``stimuli``, and embedding, by task."""

    files: dict[str, list[str]]
    embeddings: dict[str, np.ndarray]


def write_pictures(root: Path) -> Shown:
    """Write drawn pictures to ``stimuli`` as the public release has them, with the table of their identifiers."""
    encoder = load_encoder()
    files, embeddings, rows = {}, {}, []
    for task, split in (("train", "calibration"), ("test", "test")):
        pictures = open_pictures(PictureSettings(), split)
        chosen = choose_pictures(pictures, N_PICTURES[task], seed=1)
        chosen = sorted(chosen, key=lambda name: (pictures.label(name), name))
        images = [pictures.image(name) for name in chosen]
        embeddings[task] = encoder.embed_images_cached(images, cache_folder())
        concepts = sorted({pictures.label(name) for name in chosen})
        files[task] = []
        for number, (name, image) in enumerate(zip(chosen, images, strict=True), start=1):
            label = pictures.label(name)
            concept = f"{concepts.index(label) + 1:05d}_{label.replace(' ', '_')}"
            identifier = f"stim-{task}{number:0{5 if task == 'train' else 3}d}"
            file = f"{FOLDERS[task]}/{concept}/{identifier}_image.png"
            (root / "stimuli" / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / "stimuli" / file)
            files[task].append(file)
            rows.append({"stimulus_id": identifier, "type": "image", "filename": file, "present": "true"})
    with (root / "stimuli" / "stimuli.tsv").open("w", newline="") as out:
        table = csv.DictWriter(out, list(rows[0]), delimiter="\t")
        table.writeheader()
        table.writerows(rows)
    return Shown(files, embeddings)


class Brain:
    """Made-up answers of one person to embeddings: those of all people, and a share of their own."""

    def __init__(self, shown: Shown, subject: int, own: float = 0.5) -> None:
        table = shown.embeddings["train"]
        self._mean = table.mean(axis=0)
        _, _, self._directions = np.linalg.svd(table - self._mean, full_matrices=False)
        along = (table - self._mean) @ self._directions[:_PARTS].T
        self._size = along.std(axis=0)
        common, personal = np.random.default_rng(0), np.random.default_rng(100 + subject)
        times_s = np.arange(0, 0.5, 1 / RATE_HZ)
        self._patterns = np.zeros((_PARTS, len(times_s), len(CHANNELS)))
        for part in range(_PARTS):
            where = common.standard_normal(len(CHANNELS)) + own * personal.standard_normal(len(CHANNELS))
            peak_s = common.uniform(0.08, 0.3) + 0.01 * personal.standard_normal()
            self._patterns[part] = np.exp(-(((times_s - peak_s) / 0.03) ** 2))[:, None] * where

    def answer(self, embedding: np.ndarray) -> np.ndarray:
        """Microvolts ``[times, channels]`` after onset."""
        along = (embedding - self._mean) @ self._directions[:_PARTS].T / self._size
        return np.tensordot(along, self._patterns, axes=1)


def record(brain: Brain, shown: Shown, task: str, seed: int, size_uv: float = 0.28, noise_uv: float = 12.0):
    """Return one run: microvolts ``[samples, channels]``, the onsets in samples, and the pictures' numbers from 1."""
    rng = np.random.default_rng(seed)
    n = len(shown.files[task])
    order = np.concatenate([rng.permutation(n) for _ in range(REPEATS[task])])
    samples = noise_uv * rng.standard_normal((SECONDS[task] * RATE_HZ, len(CHANNELS)))
    onsets = (round(LEAD_IN_S * RATE_HZ) + np.arange(len(order)) * round(EVERY_S * RATE_HZ)).astype(int)
    assert onsets[-1] + RATE_HZ < len(samples)
    for onset, picture in zip(onsets, order, strict=True):
        answer = brain.answer(shown.embeddings[task][picture])
        samples[onset : onset + len(answer)] += size_uv * answer
    return samples, onsets, order + 1


def write_run(root: Path, who: dict, samples, onsets, numbers, shown: Shown, bad=(), column="stim_file") -> None:
    """Write one run by mne-bids, as BrainVision, with a target picture among the others."""
    task = who["task"]
    raw = mne.io.RawArray(samples.T / 1e6, mne.create_info(list(CHANNELS), RATE_HZ, "eeg"), verbose="error")
    raw.info["line_freq"] = 50
    raw.info["bads"] = list(bad)
    files = shown.files[task]
    extras = [{column: files[number - 1] if column == "stim_file" else str(number)} for number in numbers]
    onsets_s = [*(onsets / RATE_HZ), (onsets[0] - 500) / RATE_HZ]
    raw.set_annotations(
        mne.Annotations(
            onsets_s,
            [0.1] * len(onsets_s),
            ["image"] * len(numbers) + ["target"],
            extras=[*extras, {column: "n/a"}],
        )
    )
    path = mne_bids.BIDSPath(**who, datatype="eeg", root=root)
    mne_bids.write_raw_bids(raw, path, format="BrainVision", allow_preload=True, verbose="error")


def write_data_set(root: Path, subjects=2, sessions=2, bad=None, column="stim_file"):
    """Write a data set; return its pictures, and the runs as arrays by subject, session and task.

    `bad` names bad channels by ``(subject, session, task)``.
    """
    root.mkdir(parents=True, exist_ok=True)
    shown, runs = write_pictures(root), {}
    for subject in range(1, subjects + 1):
        brain = Brain(shown, subject)
        for session in range(1, sessions + 1):
            for place, task in enumerate(("train", "test")):
                key = subject, session, task
                runs[key] = record(brain, shown, task, seed=100 * subject + 10 * session + place)
                who = {"subject": f"{subject:02d}", "session": f"{session:02d}", "task": task}
                write_run(root, who, *runs[key], shown, (bad or {}).get(key, ()), column)
    return shown, runs
