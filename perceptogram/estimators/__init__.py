"""The map from EEG to image embeddings as a scikit-learn estimator, for notebooks."""

from perceptogram.estimators.bundle_patterns import bundle_patterns
from perceptogram.estimators.embedding_classifier import EmbeddingClassifier
from perceptogram.estimators.embedding_regressor import EmbeddingRegressor
from perceptogram.estimators.targets import picture_targets

__all__ = ["EmbeddingClassifier", "EmbeddingRegressor", "bundle_patterns", "picture_targets"]
