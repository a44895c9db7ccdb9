"""Reads a bundle's folder; `realtime.decoding.bundle` writes it and says what it holds."""

from __future__ import annotations

from pathlib import Path

from realtime.decoding.bundle import (
    CHANNEL_ARRAYS,
    GALLERY_FILE,
    LOW_LEVEL_FILE,
    MAP_FILE,
    NAMES_FILE,
    RECORD_FILE,
    SCHEMA,
    Bundle,
    BundleError,
)
from realtime.decoding.bundle_record import Names, Record, Schema, read_arrays, read_json
from realtime.decoding.early_answers import read_early_answers
from realtime.decoding.evidence import ConfidenceModel
from realtime.decoding.filtered_patterns import PATTERN_FILE, read_patterns
from realtime.decoding.gallery import Gallery
from realtime.decoding.identification_head import read_identification
from realtime.decoding.likelihood import read_likelihood
from realtime.decoding.low_level_map import LowLevelMap
from realtime.decoding.memory import read_memory
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace


def read_bundle(folder: Path) -> Bundle:
    """Return the bundle in `folder`.

    Raises
    ------
    BundleError
        If it is of another schema version.
    OSError, ValueError
        If a part is missing, is not finite or does not fit the others.
    """
    schema = read_json(folder / RECORD_FILE, Schema).number
    if schema != SCHEMA:
        made, do = ("an older", "fit it again") if schema < SCHEMA else ("a newer", "update this one, or fit it again")
        msg = f"bundle {folder} was made by {made} version (schema {schema}, this one reads {SCHEMA}): {do}"
        raise BundleError(msg)
    told = read_json(folder / RECORD_FILE, Record)
    names = read_json(folder / NAMES_FILE, Names)
    times, channels, dims = told.window.n_times, len(told.stream.channels), told.space.dims
    shapes: dict[str, tuple[int | None, ...]] = {
        "weights": (times, channels, dims), "bias": (dims,), "mean_input": (times, channels)
    }  # fmt: skip
    shapes |= dict.fromkeys(CHANNEL_ARRAYS if told.channels else (), (channels, channels))
    decoder = read_arrays(folder / MAP_FILE, shapes, {"window_covariance": (channels, channels)})
    scale = {"embeddings": (len(names.names), dims), "mean": (dims,), "std": (dims,)}
    arrays = read_arrays(folder / GALLERY_FILE, scale)
    likelihood = None if told.likelihood is None else read_likelihood(folder / GALLERY_FILE, told.likelihood.rank, dims)
    gallery = Gallery(names.names, names.labels, **arrays, classes=bool(told.classes), likelihood=likelihood)
    low_level = identification = patterns = None
    if told.identification is not None:
        identification = read_identification(folder, told.identification, times, channels, gallery)
    if told.low_level is not None:
        layout = (None, 4, None, None)
        shapes = {"weights": (times, channels, None), "bias": (None,), "components": layout, "mean": layout[1:]}
        low_level = LowLevelMap(**read_arrays(folder / LOW_LEVEL_FILE, shapes), space=told.low_level.space)
    if told.patterns is not None:
        patterns = read_patterns(folder / PATTERN_FILE, told.patterns, dims, channels)
    return Bundle(
        spec=StreamSpec(**told.stream.model_dump()),
        filters=told.filters,
        rate_hz=told.window.rate_hz,
        first_s=told.window.first_s,
        **decoder,
        space=EmbeddingSpace(**told.space.model_dump()),
        gallery=gallery,
        confidence=None if told.confidence is None else ConfidenceModel(**told.confidence.model_dump()),
        classes=told.classes,
        fit=told.fit.model_dump(exclude_unset=True),
        scores=told.scores,
        provenance=told.provenance,
        simulated=told.simulated,
        low_level=low_level,
        identification=identification,
        patterns=patterns,
        offline=told.offline,
        participant=told.participant,
        memory=None if told.memory is None else read_memory(folder, told.memory, channels, dims),
        early=None if told.early is None else read_early_answers(folder, told.early, times),
    )
