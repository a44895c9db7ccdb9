"""How pictures and requests travel: a picture as JPEG with what it is in the comment, everything else as JSON."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from realtime.bundle import EmbeddingSpace
from realtime.control_schema import finite, to_json
from realtime.rendering.frames import Frame, Origin, RenderRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1
QUALITY = 92
MAX_PIXELS = 4096 * 4096


class WireError(ValueError):
    """Something that came over the broker and cannot be used; one line."""


@dataclass(frozen=True)
class Contract:
    """What session and worker must agree on; the key stands in the topic, so the unlike never hear each other."""

    space: EmbeddingSpace
    generator: str
    software: str

    @property
    def key(self) -> str:
        """A name for this contract that a topic can hold."""
        return hashlib.sha256(to_json(asdict(self))).hexdigest()[:16]

    def differences(self, other: Contract) -> list[str]:
        """Return one phrase for each thing in which `other` differs."""
        pairs = (
            ("software version", self.software, other.software),
            ("generator", self.generator, other.generator),
            ("embedding space", self.space, other.space),
        )
        return [f"{what} {theirs} where {ours} is needed" for what, ours, theirs in pairs if ours != theirs]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


P = TypeVar("P", bound=_Part)


class Job(_Part):
    """A request on its way to a worker.

    Attributes
    ----------
    session, run, request
        Who asks: the session's name, a name for this run of it, the request's number.
    """

    schema_: Literal[1] = Field(alias="schema")
    session: Annotated[str, Field(pattern=r"^[^+#/\x00]{1,200}$")]
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{1,32}$")]
    request: Annotated[int, Field(ge=1)]
    trial: int
    seed: int
    steps: Annotated[int, Field(ge=1, le=10_000)]
    embedding: Annotated[str, Field(max_length=1 << 20)]
    """Little-endian float32 in base64."""
    start: Annotated[str, Field(max_length=1 << 20)] | None = None
    """The square latent to start from, four channels of little-endian float16 in base64."""

    @property
    def name(self) -> str:
        """A name that no other request has."""
        return f"{self.run}/{self.request}"

    def to_request(self) -> RenderRequest:
        """Return what the renderer is asked.

        Raises
        ------
        WireError
            If the embedding cannot be read.
        """
        try:
            values = np.frombuffer(base64.b64decode(self.embedding, validate=True), "<f4")
        except ValueError as error:
            msg = f"request {self.name}: the embedding is not float32 in base64 ({error})"
            raise WireError(msg) from error
        return RenderRequest(self.trial, values.astype(np.float32), self.seed, self.steps, start=self._latent())

    def _latent(self) -> NDArray[np.float16] | None:
        if self.start is None:
            return None
        try:
            values = np.frombuffer(base64.b64decode(self.start, validate=True), "<f2").astype(np.float16)
            side = math.isqrt(len(values) // 4)
            return values.reshape(4, side, side)
        except ValueError as error:
            msg = f"request {self.name}: the start is not a square latent of float16 in base64 ({error})"
            raise WireError(msg) from error


class _SpacePart(_Part):
    model: str
    pretrained: str
    dims: int
    normalised: bool


class _ContractPart(_Part):
    space: _SpacePart
    generator: str
    software: str


class _WorkerPart(_Part):
    schema_: Literal[1] = Field(alias="schema")
    id: str
    state: Literal["loading", "ready", "busy", "dead"]
    text: str
    contract: _ContractPart
    shared: bool
    requests: list[str]


class _Label(_Part):
    run: str
    request: int
    trial: int
    step: Annotated[int, Field(ge=1)]
    of: int
    worker: str


class Failure(_Part):
    """A worker could not paint a request."""

    run: str
    request: int
    worker: str
    text: Annotated[str, Field(max_length=2000)]


@dataclass(frozen=True)
class WorkerState:
    """What a worker says of itself, twice a second.

    Attributes
    ----------
    contract
        What it paints from, with which generator.
    shared
        Whether it hears requests that are sent to all such workers at once.
    requests
        Names of the requests that it has.
    """

    id: str
    state: Literal["loading", "ready", "busy", "dead"]
    text: str
    contract: Contract
    shared: bool
    requests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A frame that came from a worker, not yet decoded."""

    run: str
    request: int
    trial: int
    step: int
    of: int
    worker: str
    jpeg: bytes


def software_version() -> str:
    """Return the version of this package, as workers and sessions compare it."""
    try:
        return version("perceptogram-live")
    except PackageNotFoundError:
        return "0+unknown"


def request_json(session: str, run: str, number: int, request: RenderRequest) -> bytes:
    """Return a request as it travels; the embedding keeps all its bits."""
    values = np.ascontiguousarray(request.embedding, "<f4")
    record = {
        "schema": SCHEMA,
        "session": session,
        "run": run,
        "request": number,
        "trial": int(request.trial),
        "seed": int(request.seed),
        "steps": int(request.steps),
        "embedding": base64.b64encode(values.tobytes()).decode("ascii"),
    }
    if request.start is not None:
        record["start"] = base64.b64encode(np.ascontiguousarray(request.start, "<f2").tobytes()).decode("ascii")
    return to_json(record)


def read_job(payload: bytes) -> Job:
    """Return the request in `payload`, or raise `WireError`."""
    return _read(Job, payload)


def read_failure(payload: bytes) -> Failure:
    """Return the failure in `payload`, or raise `WireError`."""
    return _read(Failure, payload)


def worker_json(state: WorkerState) -> bytes:
    """Return a worker's state as it travels."""
    return to_json({"schema": SCHEMA} | asdict(state))


def read_worker(payload: bytes) -> WorkerState:
    """Return the worker's state in `payload`, or raise `WireError`."""
    part = _read(_WorkerPart, payload)
    space = EmbeddingSpace(**part.contract.space.model_dump())
    contract = Contract(space, part.contract.generator, part.contract.software)
    return WorkerState(part.id, part.state, part.text, contract, part.shared, tuple(part.requests))


def _read(model: type[P], payload: bytes) -> P:
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        msg = f"{'.'.join(map(str, fault['loc'])) or 'message'}: {fault['msg']}"
        raise WireError(" ".join(msg.split())[:500]) from None


def jpeg(image: NDArray[np.uint8], label: Mapping[str, Any]) -> bytes:
    """Return `image` ``[h, w, 3]`` as a JPEG whose comment is `label` in JSON, so that any viewer shows it."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, subsampling=0, comment=to_json(label))
    return file.getvalue()


def frame_jpeg(frame: Frame, **more: Any) -> bytes:
    """Return a frame as JPEG; its comment names trial, step and the ledger."""
    ledger = {stage: finite(time) for stage, time in frame.ledger.items()}
    label = {"request": frame.request, "trial": frame.trial, "step": frame.step, "of": frame.of, "ledger": ledger}
    if frame.origin != Origin():
        label["origin"] = asdict(frame.origin)
    return jpeg(frame.image, label | more)


def read_picture(payload: bytes) -> Picture:
    """Return what a worker's JPEG says it is, without decoding the picture; raises `WireError`."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload), formats=["JPEG"]) as image:
            comment, size, mode = image.info.get("comment", b""), image.size, image.mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"a frame that is not a JPEG ({' '.join(str(error).split())})"
        raise WireError(msg) from None
    if size[0] * size[1] > MAX_PIXELS or mode != "RGB":
        msg = f"a frame of {size[0]} x {size[1]} pixels, mode {mode}; at most {MAX_PIXELS} pixels in RGB are taken"
        raise WireError(msg)
    label = _read(_Label, comment if isinstance(comment, bytes) else b"")
    return Picture(label.run, label.request, label.trial, label.step, label.of, label.worker, payload)


def decode_jpeg(payload: bytes) -> NDArray[np.uint8]:
    """Return the picture ``[h, w, 3]``, or raise `WireError` where it is cut short."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload), formats=["JPEG"]) as image:
            return np.array(image, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        msg = f"a frame that cannot be decoded ({' '.join(str(error).split())})"
        raise WireError(msg) from None


def read_label(payload: bytes) -> dict[str, Any]:
    """Return the comment of a JPEG made by `jpeg`."""
    from PIL import Image

    with Image.open(io.BytesIO(payload), formats=["JPEG"]) as image:
        label: dict[str, Any] = json.loads(image.info["comment"])
    return label
