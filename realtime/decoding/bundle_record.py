"""What ``bundle.json`` and the arrays beside it must be, checked on loading so that no session fails in the middle.

Sizes are compared with what the record says before an array is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_JSON = 64 * 2**20
_LARGEST_VALUE = 1e12
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Scale = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1, le=1_000_000)]


Model = TypeVar("Model", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Stream(_Part):
    """See `realtime.sources.base.StreamSpec`."""

    name: str
    type: str
    source_id: str
    rate_hz: _Positive
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    unit: str
    reference: str | None


class DecodedWindow(_Part):
    """The decoded window, after decimation."""

    first_s: _Finite
    rate_hz: _Positive
    n_times: _Count


class Space(_Part):
    """See `realtime.spaces.EmbeddingSpace`."""

    model: str
    pretrained: str
    dims: _Count
    normalised: bool


class LikelihoodRecord(_Part):
    """See `realtime.decoding.likelihood.Likelihood`."""

    rank: Annotated[int, Field(ge=0, le=10_000)]


class Confidence(_Part):
    """See `realtime.decoding.evidence.ConfidenceModel`."""

    gain: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    shared: Annotated[float, Field(ge=0, le=1)]
    length: _Positive


class Attribute(_Part):
    """See `realtime.decoding.filtered_patterns.PatternAttribute`."""

    name: str
    kind: Literal["categorical", "continuous", "circular"]
    levels: Annotated[tuple[str, ...], Field(min_length=1)]
    columns: Annotated[int, Field(ge=1, le=1000)]
    latency_s: _Finite
    limit_uv: _Finite
    r: _Finite
    p: _Finite

    @model_validator(mode="after")
    def _agrees(self) -> Attribute:
        fits = {"categorical": self.columns <= len(self.levels), "circular": self.columns == 2}
        if not fits.get(self.kind, len(self.levels) == 2):
            msg = f"{len(self.levels)} levels do not fit {self.columns} columns of a {self.kind} attribute"
            raise ValueError(msg)
        return self


class LowLevel(_Part):
    """See `realtime.decoding.low_level_map.LowLevelMap`."""

    space: Literal["sd", "sdxl"]


class IdentificationRecord(_Part):
    """See `realtime.decoding.identification_head.IdentificationHead`."""

    dims: _Count
    units: Annotated[int, Field(ge=0, le=100_000)]
    targets: str


class EarlyRecord(_Part):
    """See `realtime.decoding.early_answers.EarlyAnswers`."""

    at_s: Annotated[tuple[_Finite, ...], Field(min_length=1)]
    stretch: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...]
    share: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def _agrees(self) -> EarlyRecord:
        rising = all(before < after for before, after in pairwise(self.at_s))
        if not rising or not len(self.at_s) == len(self.stretch) == len(self.share):
            msg = f"{len(self.at_s)} times, which must rise, {len(self.stretch)} stretches, {len(self.share)} shares"
            raise ValueError(msg)
        return self


class MemoryRecord(_Part):
    """See `realtime.decoding.memory.Memory`; the first had one time scale, `smooth_s`, and one window, `window_s`."""

    n_trials: _Count
    by_recording: tuple[Annotated[int, Field(ge=0)], ...]
    alpha: _Positive
    step_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    smooth_s: Annotated[tuple[_Scale, ...], Field(min_length=1)] | _Scale
    windows: Annotated[tuple[tuple[_Finite, _Finite] | None, ...], Field(min_length=1)] = (None,)
    window_s: tuple[_Finite, _Finite] | None = None
    baseline_s: tuple[_Finite, _Finite] | None
    rows: _Count
    n_times: _Count
    megabytes: _Finite


class Fitted(_Part):
    """How the map was fitted: what a session needs of it, and whatever else is told."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    marker_offset_s: Annotated[float, Field(ge=-10, le=10)] | None = None


class Schema(_Part):
    """The version of ``bundle.json``, read before all else."""

    number: int = Field(alias="schema")


class Record(_Part):
    """All of ``bundle.json``."""

    simulated: bool
    stream: Stream
    filters: dict[str, Any]
    window: DecodedWindow
    space: Space
    classes: dict[str, str]
    likelihood: LikelihoodRecord | None = None
    confidence: Confidence | None
    low_level: LowLevel | None = None
    identification: IdentificationRecord | None = None
    patterns: list[Attribute] | None = None
    offline: str | None = None
    participant: str | None = None
    memory: MemoryRecord | None = None
    channels: bool = False
    early: EarlyRecord | None = None
    fit: Fitted
    scores: dict[str, Any]
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _agrees(self) -> Record:
        if len(set(self.stream.channels)) < len(self.stream.channels):
            msg = "stream.channels names a channel twice"
            raise ValueError(msg)
        if self.window.rate_hz > self.stream.rate_hz * (1 + 1e-6):
            msg = f"window.rate_hz {self.window.rate_hz:g} is above the stream's {self.stream.rate_hz:g}"
            raise ValueError(msg)
        return self


class Names(_Part):
    """All of ``gallery.json``."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    labels: tuple[str, ...]


def read_json(path: Path, model: type[Model]) -> Model:
    """Return what the file holds.

    Raises
    ------
    ValueError
        In one line, if it holds something else or is absurdly large.
    """
    size = path.stat().st_size
    if size > LARGEST_JSON:
        msg = f"{path.name} has {size / 2**20:.0f} MB, {LARGEST_JSON / 2**20:.0f} at most"
        raise ValueError(msg)
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"{path.name}: {f'{where}: ' if where else ''}{first['msg']}"
        raise ValueError(msg) from None


Shapes = Mapping[str, tuple[int | None, ...]]


def read_arrays(path: Path, shapes: Shapes, optional: Shapes | None = None) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a safetensors file.

    Parameters
    ----------
    path
        The file.
    shapes
        By name what each must be; None where a length is not known.
    optional
        The same of those that may be missing, as they are in bundles of earlier versions.

    Raises
    ------
    ValueError
        In one line, if one is missing, of another shape or type, or not finite.
    """
    from safetensors import SafetensorError, safe_open

    arrays = {}
    try:
        with safe_open(path, framework="numpy") as file:
            held = set(file.keys())
            for name, expected in (dict(shapes) | dict(optional or {})).items():
                if name not in held and name not in shapes:
                    continue
                if name not in held:
                    msg = f"{path.name} lacks {name}"
                    raise ValueError(msg)
                stored = file.get_slice(name)
                shape = tuple(stored.get_shape())
                agree = all(length in (None, found) for length, found in zip(expected, shape, strict=False))
                if stored.get_dtype() != "F32" or len(shape) != len(expected) or not agree:
                    wanted = "×".join("?" if length is None else str(length) for length in expected)
                    found = "×".join(map(str, shape))
                    msg = f"{path.name}: {name} is {stored.get_dtype()} {found}, F32 {wanted} expected"
                    raise ValueError(msg)
                arrays[name] = file.get_tensor(name)
    except SafetensorError as error:
        msg = f"{path.name}: {' '.join(str(error).split())[:120]}"
        raise ValueError(msg) from None
    for name, array in arrays.items():
        if not np.all(np.abs(array) < _LARGEST_VALUE):
            msg = f"{path.name}: {name} holds NaN, infinity or absurd numbers"
            raise ValueError(msg)
    return arrays
