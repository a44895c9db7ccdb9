"""The map from EEG to image embeddings as a scikit-learn estimator, for notebooks."""

from perceptogram.estimators.embedding_regressor import EmbeddingRegressor

__all__ = ["EmbeddingRegressor"]
