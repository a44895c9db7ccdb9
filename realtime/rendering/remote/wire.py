"""How pictures and requests travel: a picture as JPEG with what it is in the comment, everything else as JSON."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from configs.schema import MAX_STEPS
from realtime.mqtt.foreign_text import one_line
from realtime.mqtt.json import finite, to_json
from realtime.rendering.contract import Contract
from realtime.rendering.messages import Frame, Origin, RenderRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA: Literal[2] = 2
QUALITY = 92
MAX_NAME = 100
"""Letters of a worker's name."""
MAX_STATE_BYTES = 1 << 15
MAX_REQUEST_BYTES = 1 << 19
MAX_LABEL_BYTES = 1 << 14
"""Bytes of what a picture, or a failure, says of itself."""


class WireError(ValueError):
    """Something that came over the broker and cannot be used; one line."""


def proof(key: str, worker: str, what: str) -> str:
    """Return what only those can say who know a request's key: its session, and the worker that was asked.

    The key itself travels once, to that worker; whoever hears a picture's proof can make none for the next.

    Parameters
    ----------
    key
        The request's key, known to the session and to the worker that was asked.
    worker
        The worker's name.
    what
        What is proven: the step that was painted, ``"has"`` or ``"failed"``.
    """
    return hmac.new(key.encode(), f"{worker}/{what}".encode(), hashlib.sha256).hexdigest()[:32]


class _WirePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


P = TypeVar("P")


class Job(_WirePart):
    """A request on its way to a worker.

    Attributes
    ----------
    session, run, request
        Who asks: the session's name, a name for this run of it, the request's number.
    key
        Known to the session and to the worker that is asked; see `proof`.
    contract
        Key of the contract that a worker must have.
    """

    schema_: Literal[2] = Field(alias="schema")
    session: Annotated[str, Field(pattern=r"^[^+#/\x00]{1,200}$")]
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{1,32}$")]
    request: Annotated[int, Field(ge=1)]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    contract: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    trial: int
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    embedding: str
    """Little-endian float32 in base64."""
    start: str | None = None
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
            If the embedding cannot be read, or the request not be painted.
        """
        try:
            values = np.frombuffer(base64.b64decode(self.embedding, validate=True), "<f4")
        except ValueError as error:
            msg = f"request {self.name}: the embedding is not float32 in base64 ({error})"
            raise WireError(msg) from error
        start = self._latent()
        try:
            return RenderRequest(self.trial, values.astype(np.float32), self.seed, self.steps, start=start)
        except ValueError as error:
            msg = f"request {self.name}: {error}"
            raise WireError(msg) from error

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


class _Label(_WirePart):
    """What a session needs of a picture's label; what else stands there is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run: str
    request: int
    step: Annotated[int, Field(ge=1)]
    worker: str
    proof: str
    origin: Origin = Origin()


class Failure(_WirePart):
    """A worker could not paint a request."""

    run: str
    request: int
    worker: str
    proof: str
    text: Annotated[str, Field(max_length=2000)]


@dataclass(frozen=True)
class WorkerState:
    """What a worker says of itself, twice a second.

    Attributes
    ----------
    contract
        What it paints from, with which settings.
    requests
        The requests that it has, each as ``run/number/proof``, in the order in which they are painted.
    painting
        Whether the first of them is begun.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    state: Literal["loading", "ready", "busy", "dead"]
    text: Annotated[str, Field(max_length=2000)]
    contract: Contract
    requests: tuple[str, ...] = ()
    painting: bool = False
    schema: Literal[2] = SCHEMA

    def claims(self) -> Iterator[tuple[str, int, bool, str]]:
        """Yield run, number, whether it is begun, and proof of each request."""
        for place, one in enumerate(self.requests):
            run, _, rest = one.partition("/")
            number, _, shown = rest.partition("/")
            if number.isascii() and number.isdecimal() and len(number) < 16:
                yield run, int(number), self.painting and place == 0, shown


@dataclass(frozen=True)
class Picture:
    """A frame that came from a worker, not yet decoded: `size` is height and width as its header says."""

    run: str
    request: int
    step: int
    worker: str
    proof: str
    origin: Origin
    size: tuple[int, int]
    jpeg: bytes


def request_json(session: str, run: str, number: int, key: str, contract: str, request: RenderRequest) -> bytes:
    """Return a request as it travels; the embedding keeps all its bits.

    Parameters
    ----------
    session, run, number
        Who asks; see `Job`.
    key
        The request's; 32 hexadecimal digits.
    contract
        Key of the contract that it demands.
    request
        What is to be painted.
    """
    values = np.ascontiguousarray(request.embedding, "<f4")
    record = {
        "schema": SCHEMA,
        "session": session,
        "run": run,
        "request": number,
        "key": key,
        "contract": contract,
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
    return _read(_JOB, payload, MAX_REQUEST_BYTES)


def read_failure(payload: bytes) -> Failure:
    """Return the failure in `payload`, or raise `WireError`."""
    return _read(_FAILURE, payload, MAX_LABEL_BYTES)


def worker_json(state: WorkerState) -> bytes:
    """Return a worker's state as it travels."""
    return to_json(asdict(state))


def read_worker(payload: bytes, name: str) -> WorkerState:
    """Return the state in `payload` of the worker whose topic bears `name`, or raise `WireError`."""
    state = _read(_WORKER_STATE, payload, MAX_STATE_BYTES)
    if state.id != name:
        msg = f"it calls itself {one_line(state.id)!r}"
        raise WireError(msg)
    return replace(state, text=one_line(state.text))


_JOB = TypeAdapter(Job)
_FAILURE = TypeAdapter(Failure)
_LABEL = TypeAdapter(_Label)
_WORKER_STATE = TypeAdapter(WorkerState)


def _read(kind: TypeAdapter[P], payload: bytes, most: int) -> P:
    if len(payload) > most:
        msg = f"a message of {len(payload)} bytes; at most {most} are taken"
        raise WireError(msg)
    try:
        return kind.validate_json(payload)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        msg = f"{'.'.join(map(str, fault['loc'])) or 'message'}: {fault['msg']}"
        raise WireError(one_line(msg)) from None


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
    if frame.at_s is not None:
        label |= {"at_s": frame.at_s, "preview": frame.preview}
    return jpeg(frame.image, label | more)


def read_picture(payload: bytes, most_pixels: int) -> Picture:
    """Return what a worker's JPEG says it is, without decoding the picture.

    Raises
    ------
    WireError
        If it is no JPEG as workers make them, or larger than `most_pixels`.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    most = MAX_LABEL_BYTES + 3 * most_pixels
    if len(payload) > most:
        msg = f"a frame of {len(payload)} bytes; at most {most} are taken"
        raise WireError(msg)
    try:
        with JpegImageFile(io.BytesIO(payload)) as image:
            comment, (width, height), mode = image.info.get("comment", b""), image.size, image.mode
            progressive = "progressive" in image.info
    except (OSError, ValueError, SyntaxError, OverflowError) as error:
        msg = f"a frame that is not a JPEG ({one_line(str(error))})"
        raise WireError(msg) from None
    if width * height > most_pixels or mode != "RGB" or progressive:
        kind = "progressive " if progressive else ""
        msg = (
            f"a frame of {width} x {height} pixels, {kind}{mode}; at most {most_pixels} pixels, baseline RGB, are taken"
        )
        raise WireError(msg)
    label = _read(_LABEL, comment if isinstance(comment, bytes) else b"", MAX_LABEL_BYTES)
    told = label.run, label.request, label.step, label.worker, label.proof, label.origin
    return Picture(*told, (height, width), payload)


def decode_jpeg(payload: bytes) -> NDArray[np.uint8]:
    """Return the picture ``[h, w, 3]``, or raise `WireError` where it is cut short; `read_picture` comes first."""
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        with JpegImageFile(io.BytesIO(payload)) as image:
            return np.array(image, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, OverflowError) as error:
        msg = f"a frame that cannot be decoded ({one_line(str(error))})"
        raise WireError(msg) from None


def read_label(payload: bytes) -> dict[str, Any]:
    """Return the comment of a JPEG made by `jpeg`."""
    from PIL import Image

    with Image.open(io.BytesIO(payload), formats=["JPEG"]) as image:
        label: dict[str, Any] = json.loads(image.info["comment"])
    return label
