"""The ridge map as a scikit-learn regressor: the same fit as the command's, on epochs in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from calibration.maps.attributes import Attribute
from calibration.maps.forward_model import mean_std, patterns, reading
from calibration.model.examples import Examples, grouping, teaching
from calibration.model.linear_model import Mapping, fit_map
from calibration.scores.retrieval import retrieve
from configs.schema import Config, FilterSettings, load_config
from perceptogram.estimators.inputs import Input, given, layout_of, microvolts, within
from perceptogram.estimators.live import live_bundle
from realtime.decoding.bundle import Bundle, load_bundle
from realtime.decoding.gallery import Gallery
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace

if TYPE_CHECKING:
    from pathlib import Path

    import mne


class EmbeddingRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Linear map from EEG epochs to image embeddings: whitening, ridge, re-standardisation.

    It is what ``perceptogram fit`` fits: from the same epochs and targets the same numbers, bit by bit. Alpha, noise
    model and window are chosen within `fit` by cross-validation, so there is nothing to search for outside.

    Parameters
    ----------
    config
        Settings, or a YAML file or preset: window, baseline and everything under ``fit``. Left out, those that the
        epochs were cut with, or the defaults.
    tmin
        Time of the first sample of an array in seconds after onset. Without `tmin` and `sfreq` all of an array is the
        window, and no noise model over time is tried.
    sfreq
        Sampling rate of an array in Hz.
    gallery
        Pictures with their labels and the scale on which they are compared, as ``make_targets`` gives them; the
        training targets, each its own label, when left out.

    Attributes
    ----------
    weights_
        float32 ``[times, channels, dims]`` for samples in microvolts.
    bias_
        float32 ``[dims]``.
    mapping_
        The map step by step, with what was chosen; None of a bundle's.
    alpha_
        The ridge penalty.
    gallery_
        What `score` compares with.

    Examples
    --------
    Epochs of noise, to which no embedding answers:

    >>> rng = np.random.default_rng(0)
    >>> epochs = rng.normal(0, 1e-5, (60, 8, 50))
    >>> embeddings = rng.normal(size=(60, 4))
    >>> regressor = EmbeddingRegressor(tmin=0.0, sfreq=100.0).fit(epochs, embeddings)
    >>> regressor.predict(epochs).shape
    (60, 4)
    """

    def __init__(
        self,
        config: Config | str | Path | None = None,
        tmin: float | None = None,
        sfreq: float | None = None,
        gallery: Gallery | None = None,
    ) -> None:
        self.config = config
        self.tmin = tmin
        self.sfreq = sfreq
        self.gallery = gallery

    def fit(self, X: mne.BaseEpochs | ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> EmbeddingRegressor:
        """Fit the map.

        Parameters
        ----------
        X
            ``mne.Epochs``, or an array ``[trials, channels, times]`` or ``[trials, features]``, in volts.
        y
            Embedding of what was shown, ``[trials, dims]``.
        groups
            ``[trials]``: trials of one group are never on both sides of a fold where alpha is chosen. Left out, trials
            of one picture are: by the metadata ``picture``, or by equal rows of `y`.
        """
        read = given(X, self.tmin, self.sfreq)
        volts, answers = validate_data(
            self, read.volts, y, allow_nd=True, multi_output=True, y_numeric=True, ensure_min_samples=2,
            dtype=[np.float64, np.float32],
        )  # fmt: skip
        if volts.ndim > 3:
            msg = f"X {volts.shape} must be [trials, channels, times]; to split epochs, give epochs.get_data()"
            raise ValueError(msg)
        self.config_ = self._settings(read)
        window = self.config_.window
        kept = within(read.times_s, window)
        times_s = None if read.times_s is None else read.times_s[kept]
        samples = microvolts(volts, kept)
        targets = answers.reshape(len(answers), -1)
        targets = targets if targets.dtype == np.float32 else targets.astype(np.float64)
        names = read.names if read.names is not None else _names_of(targets, groups, self.gallery)
        self._layout = layout_of(times_s, samples.shape[1], window)
        self._examples = Examples(
            samples, targets, self._groups(read, names, groups), names, _teaches(read, len(samples))
        )
        mapping = fit_map(self._examples, self._layout, self.config_.fit)
        self.mapping_: Mapping | None = mapping
        self.alpha_: float | None = mapping.alpha
        self.weights_, self.bias_ = mapping.map.weights, mapping.map.bias
        self.gallery_ = replace(self.gallery or _gallery_of(targets, names), likelihood=mapping.comparison.likelihood)
        self._shape, self._flat, self._input = volts.shape[1:], answers.ndim == 1, read
        self._times_s = times_s
        return self

    def predict(self, X: mne.BaseEpochs | ArrayLike) -> NDArray[np.float64]:
        """Return the embeddings ``[trials, dims]`` of epochs as in `fit`."""
        check_is_fitted(self, "weights_")
        read = given(X, self.tmin, self.sfreq)
        volts = validate_data(self, read.volts, reset=False, allow_nd=True, dtype=[np.float64, np.float32])
        if volts.shape[1:] != self._shape:
            msg = f"epochs {volts.shape[1:]} are not of the shape {self._shape} that the map was fitted on"
            raise ValueError(msg)
        samples = microvolts(volts, within(read.times_s, self.config_.window))
        flat = samples.reshape(len(samples), -1).astype(np.float64)
        predicted: NDArray[np.float64] = flat @ self.weights_.reshape(flat.shape[1], -1).astype(np.float64) + self.bias_
        return predicted[:, 0] if self._flat else predicted

    def score(self, X: mne.BaseEpochs | ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return two-way identification: chance is 0.5.

        How often the embedding predicted for a trial is more like the picture shown than another picture of `X`. With
        the same folds and gallery, the mean over all trials is the ``two_way`` of ``perceptogram fit``.

        Parameters
        ----------
        X
            Epochs as in `fit`, which the map should not have seen.
        y
            Embedding of what was shown in each, ``[trials, dims]``.
        sample_weight
            Weight of each trial; all alike when left out.
        """
        predicted = self.predict(X)
        predicted = predicted.reshape(len(predicted), -1)
        targets = np.asarray(y).reshape(len(predicted), -1)
        rows, own = np.unique(targets, axis=0, return_inverse=True)
        places = _places(rows, self.gallery_)
        labels = tuple(f"new {i}" if at is None else self.gallery_.labels[at] for i, at in enumerate(places))
        names = tuple(map(str, range(len(rows))))
        scale = self.gallery_
        shown = Gallery(names, labels, rows, scale.mean, scale.std, likelihood=scale.likelihood)
        each = retrieve(predicted, own.reshape(-1), np.zeros(len(predicted), np.int64), shown).two_way
        valid = np.isfinite(each)
        if not valid.any():
            return float("nan")
        weights = None if sample_weight is None else np.asarray(sample_weight)[valid]
        return float(np.average(each[valid], weights=weights))

    def patterns_evoked(self, attribute: Attribute | ArrayLike, level: str | None = None) -> mne.EvokedArray:
        """Return how the EEG varies with what the map reads of an attribute (Haufe et al. 2014), in volts.

        Parameters
        ----------
        attribute
            A number for each training trial, or an attribute measured on the pictures; its pattern is that of one
            standard deviation more.
        level
            Which category of an attribute that has categories: the pattern is its difference from all others.
        """
        import mne

        check_is_fitted(self, "mapping_")
        if self.mapping_ is None:
            msg = "a bundle holds no epochs, so there are no patterns: fit the estimator"
            raise ValueError(msg)
        examples, name = self._examples, "attribute"
        values = np.asarray(attribute) if not isinstance(attribute, Attribute) else None
        if isinstance(attribute, Attribute):
            name = attribute.name
            if attribute.kind == "continuous":
                values = attribute.of(examples.names)
            elif attribute.kind == "categorical" and level in attribute.levels:
                name = f"{name}: {level}"
                values = attribute.of(examples.names) == attribute.levels.index(level)
        if values is None or values.shape != (len(examples),):
            msg = "give one number a training trial, or an attribute and one of its levels"
            raise ValueError(msg)
        design = (values - values.mean(dtype=np.float64))[:, None]
        design = design if isinstance(attribute, Attribute) and level else design / max(float(design.std()), 1e-12)
        mean, std = mean_std(examples.targets)
        true = (examples.targets - mean) / std
        decoded = (self.mapping_.map.predict(examples.samples) - mean) / std
        found = patterns(examples.samples, decoded @ reading(true, design))[0]
        times_s = self._times_s if self._times_s is not None else np.arange(found.shape[0]) / (self.sfreq or 1.0)
        rate_hz = (len(times_s) - 1) / float(times_s[-1] - times_s[0]) if len(times_s) > 1 else self.sfreq or 1.0
        info = mne.create_info(found.shape[1], rate_hz, "eeg")
        if self._input.epochs is not None:
            info = mne.pick_info(self._input.epochs.info, range(found.shape[1]))
        return mne.EvokedArray(
            found.T / 1e6, info, tmin=float(times_s[0]), comment=name, nave=len(examples), verbose="error"
        )

    def to_bundle(
        self,
        stream: StreamSpec | None = None,
        filters: FilterSettings | None = None,
        space: EmbeddingSpace | None = None,
    ) -> Bundle:
        """Return the bundle with which a live session decodes as this map does; it is scored by cross-validation.

        Epochs of `perceptogram.read_epochs` and of `Session.epochs` tell all that a stream must match. Of others it
        has to be said, and what no stream can match is refused at once.

        Parameters
        ----------
        stream
            Name, rate, channels and reference of the stream that will be decoded.
        filters
            The causal filters that the epochs went through, in the settings of a session; None for none.
        space
            What the embeddings are.

        Raises
        ------
        configs.errors.InputError
            In one line, why no stream can be decoded with this map.
        """
        check_is_fitted(self, "mapping_")
        return live_bundle(
            self._input, self._examples, self._times_s, self.gallery_, self.config_, stream, filters, space
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle | str | Path) -> EmbeddingRegressor:
        """Return the map of a bundle, ready to predict epochs that were cut as the bundle's were."""
        loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        times, channels, _ = loaded.weights.shape
        made = cls(tmin=loaded.first_s, sfreq=loaded.rate_hz, gallery=loaded.gallery)
        made.config_ = loaded.completed(Config())
        made.weights_, made.bias_, made.gallery_ = loaded.weights, loaded.bias, loaded.gallery
        made.mapping_, made.alpha_ = None, loaded.fit.get("alpha")
        made.n_features_in_, made._shape, made._flat = channels, (channels, times), False
        return made

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.three_d_array = True
        tags.regressor_tags.poor_score = True  # identification, not R²
        return tags

    def _settings(self, read: Input) -> Config:
        if self.config is None:
            return Config() if read.cut is None else read.cut.config
        return self.config if isinstance(self.config, Config) else load_config(self.config)

    def _groups(self, read: Input, names: NDArray[np.str_], groups: ArrayLike | None) -> NDArray[Any]:
        if groups is not None:
            return np.asarray(groups)
        if read.cut is not None and grouping(self.config_) == "recording":
            return read.cut.trials.recordings
        return names


def _teaches(read: Input, n: int) -> NDArray[np.bool_]:
    """Return which trials are learned from: as in a fit of recordings, not those that were flagged."""
    return np.ones(n, np.bool_) if read.cut is None else teaching(read.cut.trials)


def _names_of(
    targets: NDArray[np.floating[Any]], groups: ArrayLike | None, gallery: Gallery | None
) -> NDArray[np.str_]:
    """Return what was shown: the gallery's name for the target, the group where a group has one target, or a number."""
    rows, shown = np.unique(targets, axis=0, return_inverse=True)
    shown = shown.reshape(-1)
    if gallery is not None:
        places = _places(rows, gallery)
        if None not in places:
            listed: NDArray[np.str_] = np.array([gallery.names[at] for at in places if at is not None], dtype=np.str_)
            return listed[shown]
    if groups is not None:
        told: NDArray[np.str_] = np.asarray(groups).astype(np.str_)
        if len(set(zip(told.tolist(), shown.tolist(), strict=True))) == len(np.unique(told)) == shown.max() + 1:
            return told
    numbers: NDArray[np.str_] = shown.astype(np.str_)
    return numbers


def _places(rows: NDArray[np.floating[Any]], gallery: Gallery) -> list[int | None]:
    """Return where in the gallery each embedding is; None where it is not."""
    known = {row.tobytes(): place for place, row in enumerate(gallery.embeddings.astype(rows.dtype))}
    return [known.get(row.tobytes()) for row in rows]


def _gallery_of(targets: NDArray[np.floating[Any]], names: NDArray[np.str_]) -> Gallery:
    """Return the targets as a gallery, one entry a name."""
    shown, first = np.unique(names, return_index=True)
    rows = targets[first].astype(np.float32)
    listed = tuple(map(str, shown))
    mean, std = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    return Gallery(listed, listed, rows, mean.astype(np.float32), std.astype(np.float32))
