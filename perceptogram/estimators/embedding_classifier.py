"""Labels told apart by the linear map: a scikit-learn classifier, for pipelines that know no embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from calibration.data.targets import label_targets
from perceptogram.estimators.embedding_regressor import EmbeddingRegressor

if TYPE_CHECKING:
    from pathlib import Path

    import mne

    from configs.schema import Config


class EmbeddingClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Labels of EEG epochs by the map of `EmbeddingRegressor`, whose targets are contrasts between the labels.

    It is what ``perceptogram fit`` fits with ``pictures.set: labels``.

    Parameters
    ----------
    config, tmin, sfreq
        As those of `EmbeddingRegressor`.

    Attributes
    ----------
    classes_
        The labels, in the order of the columns of `decision_function`.
    regressor_
        The map.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["face", "house"], 40)
    >>> epochs = rng.normal(0, 1e-6, (80, 8, 50))
    >>> epochs[labels == "face", 3, 20:30] += 1e-6
    >>> classifier = EmbeddingClassifier(tmin=0.0, sfreq=100.0).fit(epochs, labels)
    >>> bool((classifier.predict(epochs) == labels).mean() > 0.9)
    True
    """

    def __init__(
        self, config: Config | str | Path | None = None, tmin: float | None = None, sfreq: float | None = None
    ) -> None:
        self.config = config
        self.tmin = tmin
        self.sfreq = sfreq

    def fit(self, X: mne.BaseEpochs | ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> EmbeddingClassifier:
        """Fit the map.

        Parameters
        ----------
        X
            As for `EmbeddingRegressor.fit`.
        y
            Label of each epoch, ``[trials]``.
        groups
            ``[trials]``: trials of one group, such as a run, are never on both sides of a fold where alpha is chosen;
            each trial its own when left out.

        Raises
        ------
        ValueError
            If `y` is not labels, or has only one.
        """
        if y is None:
            msg = "EmbeddingClassifier requires y to be passed, but the target y is None"
            raise ValueError(msg)
        labels = check_array(column_or_1d(y, warn=True), ensure_2d=False, dtype=None)
        check_classification_targets(labels)
        self.classes_, own = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            msg = f"y has {len(self.classes_)} class: there is nothing to tell apart"
            raise ValueError(msg)
        gallery = label_targets([str(label) for label in self.classes_]).gallery
        own = own.reshape(-1)
        self.regressor_ = EmbeddingRegressor(self.config, self.tmin, self.sfreq, gallery)
        self.regressor_.fit(X, gallery.embeddings[own], np.arange(len(own)) if groups is None else groups)
        self.n_features_in_ = self.regressor_.n_features_in_
        return self

    def decision_function(self, X: mne.BaseEpochs | ArrayLike) -> NDArray[np.float64]:
        """Return how much speaks for each label ``[trials, labels]``; of two, for the second ``[trials]``."""
        check_is_fitted(self, "regressor_")
        evidence = self.regressor_.predict(X)
        return evidence[:, 1] - evidence[:, 0] if len(self.classes_) == 2 else evidence

    def predict(self, X: mne.BaseEpochs | ArrayLike) -> NDArray[Any]:
        """Return the label ``[trials]`` for which most speaks."""
        check_is_fitted(self, "regressor_")
        best: NDArray[Any] = self.classes_[self.regressor_.predict(X).argmax(axis=1)]
        return best

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
