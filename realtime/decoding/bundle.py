"""The calibration bundle: a folder that holds the map and everything that a live stream must match.

``bundle.json`` says what it is, ``decoder.safetensors`` holds the map, ``gallery.safetensors`` and ``gallery.json`` the
pictures to search. It is written here and read in `realtime.decoding.bundle_reading`, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from configs.errors import InputError
from configs.files import whole_folder
from configs.schema import FilterSettings, WindowSettings
from realtime.decoding.early_answers import EARLY_FILE, EarlyAnswers
from realtime.decoding.evidence import ConfidenceModel
from realtime.decoding.filtered_patterns import PATTERN_ARRAYS, PATTERN_FILE, Patterns
from realtime.decoding.gallery import Gallery
from realtime.decoding.identification_head import IDENTIFICATION_FILE, IdentificationHead
from realtime.decoding.low_level_map import LowLevelMap
from realtime.decoding.memory import MEMORY_FILE, Memory
from realtime.sources.base import StreamSpec, same_rate
from realtime.spaces import EmbeddingSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import Config, MarkerSettings, RenderSettings

    _Part = TypeVar("_Part", FilterSettings, WindowSettings, MarkerSettings)

SCHEMA = 2
RATES = ("rate_in_hz", "rate_hz")
FOLLOWING = {"stages", "delay_s", "settle_s"}
"""What follows from the filters' settings and the rate."""
MAP_ARRAYS, CHANNEL_ARRAYS = ("weights", "bias", "mean_input"), ("covariance", "use")
LOW_LEVEL_FILE = "low_level.safetensors"
LOW_LEVEL_ARRAYS = ("weights", "bias", "components", "mean")
RECORD_FILE, MAP_FILE, SCORES_FILE = "bundle.json", "decoder.safetensors", "scores.json"
GALLERY_FILE, NAMES_FILE = "gallery.safetensors", "gallery.json"
REPORT_FILE = "report.html"
FILES = (
    *(RECORD_FILE, MAP_FILE, SCORES_FILE, GALLERY_FILE, NAMES_FILE),
    *(LOW_LEVEL_FILE, IDENTIFICATION_FILE, PATTERN_FILE, MEMORY_FILE, EARLY_FILE, REPORT_FILE),
)
"""All that a fit writes, and so all that the next one may replace."""


class BundleError(InputError):
    """A bundle that cannot be read, or that does not fit what it is used with."""

    about = "bundles"


@dataclass(frozen=True)
class Bundle:
    """Everything that calibration hands to a live session.

    Attributes
    ----------
    spec
        The stream that the map was fitted on.
    filters
        Description of the filter chain, with delays; compared as a whole.
    rate_hz
        Sampling rate of the window after decimation.
    first_s
        Time of the window's first sample after onset.
    weights, bias, mean_input
        The map: float32 ``[times, channels, dims]``, ``[dims]``; the mean window ``[times, channels]`` in microvolts.
    space
        What the embeddings are.
    gallery
        Pictures to search.
    window_covariance
        float32 ``[channels, channels]``: how the calibration's EEG varied, as
        `realtime.decoding.alignment.mean_covariance` has it; None where that is not known.
    confidence
        How similarity becomes a probability, where it was calibrated.
    classes
        Marker labels that stand for sets of pictures.
    low_level
        The map from EEG to the layout of a picture, where one was fitted.
    identification
        The output by which pictures are told apart; None where that is the embedding itself.
    patterns
        The maps behind the display's patterns, where the calibration could tell an attribute.
    fit
        How the map was fitted and validated: alpha, folds, groups, counts.
    scores
        Cross-validated scores with their chance levels.
    provenance
        Software version, commit, time, recordings.
    offline
        Why this bundle can decode no stream; None where it can.
    participant
        Pseudonym of whose EEG it is; None where that was not told.
    memory
        What a later fit needs of the trials; None where nothing was to be remembered.
    covariance, use
        float32 ``[channels, channels]``: what missing channels are guessed by, and what they are to the output that
        is compared (`calibration.model.noise.shared_by_channels`); None in bundles of before they were kept.
    early
        How windows are answered before they end; None where no confidence could be calibrated.

    Examples
    --------
    A bundle that knows nothing, written and read back:

    >>> from tempfile import TemporaryDirectory
    >>> names, embeddings = ("cat", "house"), np.eye(2, dtype=np.float32)
    >>> bundle = Bundle(
    ...     StreamSpec("Amplifier", "EEG", "1", 250.0, ("Oz", "Pz")),
    ...     filters={},
    ...     rate_hz=125.0,
    ...     first_s=0.0,
    ...     weights=np.zeros((75, 2, 2), np.float32),
    ...     bias=np.zeros(2, np.float32),
    ...     mean_input=np.zeros((75, 2), np.float32),
    ...     space=EmbeddingSpace("model", "weights", 2),
    ...     gallery=Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0)),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     bundle.save(Path(folder) / "bundle")
    ...     load_bundle(Path(folder) / "bundle").gallery.names
    ('cat', 'house')
    """

    spec: StreamSpec
    filters: dict[str, Any]
    rate_hz: float
    first_s: float
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    mean_input: NDArray[np.float32]
    space: EmbeddingSpace
    gallery: Gallery
    window_covariance: NDArray[np.float32] | None = None
    confidence: ConfidenceModel | None = None
    classes: dict[str, str] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    simulated: bool = False
    low_level: LowLevelMap | None = None
    identification: IdentificationHead | None = None
    patterns: Patterns | None = None
    offline: str | None = None
    participant: str | None = None
    memory: Memory | None = None
    covariance: NDArray[np.float32] | None = None
    use: NDArray[np.float32] | None = None
    early: EarlyAnswers | None = None

    @property
    def candidates(self) -> Gallery:
        """The pictures that can be the answer, as what was decoded is compared with them."""
        return self.gallery if self.identification is None else self.identification.gallery

    def only(self, names: set[str]) -> Bundle:
        """Return the bundle with some of its pictures as candidates.

        Raises
        ------
        ValueError
            If it has no such picture.
        """
        head = None if self.identification is None else self.identification.only(names)
        return replace(self, gallery=self.gallery.only(names), identification=head)

    def check_runs(self) -> None:
        """Refuse a bundle that can decode no stream; asked before anything is opened.

        Raises
        ------
        BundleError
            With the reason, as `fit` told it.
        """
        if self.offline is not None:
            raise BundleError(self.offline)

    def check_stream(
        self, spec: StreamSpec, filters: dict[str, Any], rate_hz: float, n_times: int, first_s: float
    ) -> None:
        """Refuse a live stream or window that the map was not fitted for.

        Parameters
        ----------
        spec
            The live stream's description.
        filters
            Settings of the live filters, as the bundle's own `filters` name them.
        rate_hz
            Sampling rate after decimation.
        n_times
            Samples in the window.
        first_s
            Time of the window's first sample in seconds after onset, within half a sample of the bundle's.

        Raises
        ------
        BundleError
            With one line for each difference.
        """
        self.check_runs()
        lines = self.spec.differences(spec)
        if not same_rate(self.rate_hz, rate_hz):
            lines.append(f"rate after decimation: {self.rate_hz:g} Hz expected, {rate_hz:g} Hz configured")
        if n_times != len(self.weights) or abs(first_s - self.first_s) > 0.5 / self.rate_hz:
            lines.append(
                f"window: {len(self.weights)} samples from {self.first_s:g} s expected, "
                f"{n_times} from {first_s:g} s configured"
            )
        for key in sorted((self.filters.keys() | filters.keys()) - FOLLOWING):
            ours, theirs = self.filters.get(key), filters.get(key)
            if ours != theirs and not (key in RATES and ours and theirs and same_rate(ours, theirs)):
                lines.append(f"filter {key}: {ours} expected, {theirs} configured")
        if lines:
            msg = "\n".join(f"the stream does not fit the bundle: {line}" for line in lines)
            raise BundleError(msg)

    def check_low_level(self, settings: RenderSettings) -> None:
        """Refuse to start pictures from a low-level map that the bundle does not have, or has for others.

        Raises
        ------
        BundleError
            With what differs.
        """
        if not settings.low_level:
            return
        if self.low_level is None:
            msg = "render.low_level: the bundle has no low-level map; fit it with fit.low_level_rank, for example 64"
            raise BundleError(msg)
        misfit = self.low_level.misfit(settings.generator, settings.pixels)
        if misfit is not None:
            raise BundleError(misfit)

    def completed(self, config: Config) -> Config:
        """Return `config` with filters, window, classes and markers' offset as fitted, where they are not written."""
        filters = {key: self.filters[key] for key in FilterSettings.model_fields if key in self.filters}
        if filters.get("rate_hz") == self.filters.get("rate_in_hz"):
            filters["rate_hz"] = None  # nothing was reduced
        markers = {"classes": self.classes, "offset_s": self.fit.get("marker_offset_s", config.markers.offset_s)}
        return config.model_copy(
            update={
                "filters": _completed(config.filters, filters),
                "window": _completed(config.window, dict(self._window())),
                "markers": _completed(config.markers, markers),
            }
        )

    def _window(self) -> WindowSettings:
        """Return the window that the map was fitted on; of a bundle that does not tell it, what had to be cut."""
        last_s = self.first_s + len(self.weights) / self.rate_hz
        return WindowSettings(**self.fit.get("window", {"start_s": self.first_s, "stop_s": last_s}))

    def save(self, folder: str | Path) -> None:
        """Write the bundle to `folder`; an existing bundle there is replaced only once the new one is complete.

        Raises
        ------
        BundleError
            See `check_place`.
        """
        check_place(folder)
        with whole_folder(Path(folder), FILES) as part:
            self._write(part)

    def _write(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = [*MAP_ARRAYS, *(() if self.use is None else CHANNEL_ARRAYS)]
        arrays += ["window_covariance"] * (self.window_covariance is not None)
        save_file({name: np.ascontiguousarray(getattr(self, name)) for name in arrays}, folder / MAP_FILE)
        low_level, patterns = self.low_level, self.patterns
        for file, part_of_it, names in (
            (LOW_LEVEL_FILE, low_level, LOW_LEVEL_ARRAYS),
            (PATTERN_FILE, patterns, PATTERN_ARRAYS),
        ):
            if part_of_it is not None:
                save_file({name: np.ascontiguousarray(getattr(part_of_it, name)) for name in names}, folder / file)
        for part in (self.memory, self.identification, self.early):
            if part is not None:
                part.write(folder)
        gallery = self.gallery
        kept = {"embeddings": gallery.embeddings, "mean": gallery.mean, "std": gallery.std}
        kept |= {} if gallery.likelihood is None else gallery.likelihood.arrays()
        save_file({name: np.ascontiguousarray(array) for name, array in kept.items()}, folder / GALLERY_FILE)
        _write_json(folder / NAMES_FILE, {"names": gallery.names, "labels": gallery.labels})
        record = {
            "schema": SCHEMA,
            "simulated": self.simulated,
            "stream": asdict(self.spec),
            "filters": self.filters,
            "window": {"first_s": self.first_s, "rate_hz": self.rate_hz, "n_times": len(self.weights)},
            "space": asdict(self.space),
            "classes": self.classes,
            "likelihood": None if gallery.likelihood is None else {"rank": len(gallery.likelihood.decorrelation)},
            "confidence": None if self.confidence is None else asdict(self.confidence),
            "low_level": None if low_level is None else {"space": low_level.space},
            "identification": None if self.identification is None else self.identification.record(),
            "patterns": None if patterns is None else [asdict(attribute) for attribute in patterns.attributes],
            "offline": self.offline,
            "participant": self.participant,
            "memory": None if self.memory is None else self.memory.record(),
            "channels": self.use is not None,
            "early": None if self.early is None else self.early.record(),
            "fit": self.fit,
            "scores": self.scores,
            "provenance": self.provenance,
        }
        _write_json(folder / RECORD_FILE, record)
        _write_json(folder / SCORES_FILE, self.scores)


def _completed(settings: _Part, known: Mapping[str, Any]) -> _Part:
    """Return `settings` with those of the `known` ones that are not written in it."""
    return settings.model_copy(
        update={key: value for key, value in known.items() if key not in settings.model_fields_set}
    )


def check_place(folder: str | Path) -> None:
    """Refuse to write a bundle where something else is; asked before a fit, so that its minutes are not lost.

    Raises
    ------
    BundleError
        If `folder` is a file, or holds something and no bundle.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file: give a folder for the bundle"
        raise BundleError(msg)
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if held and not {RECORD_FILE, MAP_FILE} <= set(held):
        some = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
        msg = f"{folder} holds {some} and is no bundle: give a folder of its own, such as {folder / 'bundle'}"
        raise BundleError(msg)


def load_bundle(folder: str | Path) -> Bundle:
    """Read the bundle in `folder`.

    Raises
    ------
    BundleError
        In one line, if there is none, if it is of another schema version, or if a part is missing, is not finite or
        does not fit the others.

    Examples
    --------
    >>> load_bundle("nowhere")
    Traceback (most recent call last):
        ...
    realtime.decoding.bundle.BundleError: no bundle in nowhere: bundle.json is missing; make one with ...
    """
    folder = Path(folder)
    if not (folder / RECORD_FILE).is_file():
        msg = (
            f"no bundle in {folder}: bundle.json is missing; make one with 'perceptogram fit RECORDING --out {folder}'"
        )
        raise BundleError(msg)
    from realtime.decoding.bundle_reading import read_bundle

    try:
        return read_bundle(folder)
    except BundleError:
        raise
    except (OSError, ValueError) as error:
        msg = f"bundle {folder} is damaged: {' '.join(str(error).split())[:300]}; fit it again"
        raise BundleError(msg) from error


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
