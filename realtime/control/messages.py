"""The language of the control channel: commands, answers, states and events, as JSON with a published schema."""

from __future__ import annotations

import base64
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pylsl import local_clock

from configs.schema import MAX_STEPS
from realtime.control.percept_record import PerceptRecord
from realtime.mqtt.foreign_text import one_line
from realtime.mqtt.json import to_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.spaces import EmbeddingSpace

SCHEMA: Literal[2] = 2
MAX_COMMAND_BYTES = 4096
FLOAT16_MAX = 65504.0

CommandName = Literal["start", "stop", "pause", "resume", "mark", "show", "set_threshold", "set_steps"]
StateName = Literal["offline", "starting", "running", "paused", "stopped", "failed"]
Identifier = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]


def _printable(text: str) -> str:
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        msg = "no control characters"
        raise ValueError(msg)
    return text


def _inside(name: str) -> str:
    """Refuse what would lead out of a folder of pictures, for whoever joins the two."""
    if name.startswith(("/", "~")) or "\\" in name or ".." in name.split("/"):
        msg = "a picture's name as in the set, not a path out of it"
        raise ValueError(msg)
    return name


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]


@dataclass(frozen=True)
class Command:
    """What another program asks of the session, already validated.

    Attributes
    ----------
    id
        The sender's; a command that comes twice under one id takes effect once.
    name, args
        What to do: ``mark`` has ``text``, ``show`` has ``picture``, ``set_threshold`` has ``confidence`` (0 to 1),
        ``set_steps`` has ``steps`` (1 to `MAX_STEPS`); the others have no arguments.
    """

    id: str
    name: CommandName
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Something else worth telling, such as ``Event("quality", {"Fz": 0.9})``; anything that JSON can hold."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse to pass for a percept."""
        if self.kind == "percept":
            msg = "an event must not be of kind 'percept'; publish the Percept itself"
            raise ValueError(msg)


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _NoArgs(_Message):
    pass


class _MarkArgs(_Message):
    text: Text


class _ShowArgs(_Message):
    picture: Annotated[Text, AfterValidator(_inside)]


class _ThresholdArgs(_Message):
    confidence: Annotated[float, Field(ge=0, le=1)]


class _StepsArgs(_Message):
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]


class _PlainCommand(_Message):
    id: Identifier
    command: Literal["start", "stop", "pause", "resume"]
    args: _NoArgs = _NoArgs()


class _MarkCommand(_Message):
    id: Identifier
    command: Literal["mark"]
    args: _MarkArgs


class _ShowCommand(_Message):
    id: Identifier
    command: Literal["show"]
    args: _ShowArgs


class _ThresholdCommand(_Message):
    id: Identifier
    command: Literal["set_threshold"]
    args: _ThresholdArgs


class _StepsCommand(_Message):
    id: Identifier
    command: Literal["set_steps"]
    args: _StepsArgs


_AnyCommand = Annotated[
    _PlainCommand | _MarkCommand | _ShowCommand | _ThresholdCommand | _StepsCommand, Field(discriminator="command")
]
_COMMANDS: TypeAdapter[_PlainCommand | _MarkCommand | _ShowCommand | _ThresholdCommand | _StepsCommand] = TypeAdapter(
    _AnyCommand
)


class _Stamped(_Message):
    schema_: Literal[2] = Field(alias="schema")
    t_lsl: float
    """Seconds on the session's LSL clock."""
    t_unix: float

    @classmethod
    def now(cls, **content: Any) -> Self:
        """Return a message of this moment."""
        return cls(schema=SCHEMA, t_lsl=local_clock(), t_unix=time.time(), **content)

    def json_bytes(self) -> bytes:
        """Return the message as it travels; raises `ValueError` or `TypeError` where it holds what JSON cannot."""
        return to_json(self.model_dump(by_alias=True))


class AckMessage(_Stamped):
    """The answer to one command; `id` is null where the command had none that could be read."""

    id: str | None
    ok: bool
    error: str | None

    @classmethod
    def to(cls, command_id: str | None, error: str | None) -> Self:
        """Return the answer of this moment; `error` says why a command did not take effect."""
        return cls.now(id=command_id, ok=error is None, error=error)


class StateMessage(_Stamped):
    """How the session is; retained, and ``offline`` as its last will, with zero times."""

    state: StateName
    version: str
    details: dict[str, Any]


class _Space(_Message):
    model: str
    pretrained: str
    dims: int
    normalised: bool


class _Embedding(_Message):
    float16: str
    """Little-endian float16 values in base64."""
    dims: int
    space: _Space | None


class _Event(_Stamped):
    seq: int
    """1, 2, 3, ...: a missing number is an event that was dropped."""


class PerceptMessage(PerceptRecord, _Event):
    """What the decoder says about one trial."""

    kind: Literal["percept"]
    embedding: _Embedding


class EventMessage(_Event):
    """Anything else: ``quality``, ``ledger``, ``notice``, ..."""

    kind: str
    data: dict[str, Any]


class CommandError(ValueError):
    """A command that is refused; `command_id` is its id where one could be read."""

    def __init__(self, text: str, command_id: str | None = None) -> None:
        super().__init__(text)
        self.command_id = command_id


def parse_command(payload: bytes) -> Command:
    """Return the command in `payload`.

    Raises
    ------
    CommandError
        If it is too large, not JSON, unknown, or has wrong arguments; one line.
    """
    if len(payload) > MAX_COMMAND_BYTES:
        msg = f"a command of {len(payload)} bytes is too large; at most {MAX_COMMAND_BYTES} bytes"
        raise CommandError(msg)
    try:
        found = _COMMANDS.validate_json(payload)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        msg = one_line(f"{where + ': ' if where else ''}{fault['msg']}", 500)
        raise CommandError(msg, _readable_id(payload)) from None
    return Command(found.id, found.command, found.args.model_dump())


def _readable_id(payload: bytes) -> str | None:
    try:
        given = TypeAdapter(dict[str, Any]).validate_json(payload).get("id")
        return TypeAdapter(Identifier).validate_python(given, strict=True)
    except ValidationError:
        return None


def schema() -> dict[str, Any]:
    """Return the JSON Schemas of everything that travels, by what it is."""
    messages: dict[str, type[_Message]] = {
        "ack": AckMessage,
        "state": StateMessage,
        "percept": PerceptMessage,
        "event": EventMessage,
    }
    return {"command": _COMMANDS.json_schema()} | {
        name: model.model_json_schema(mode="serialization", by_alias=True) for name, model in messages.items()
    }


def embedding_record(embedding: NDArray[np.float32], space: EmbeddingSpace | None) -> dict[str, Any]:
    """Return an embedding ``[dims]`` as JSON can hold it, in half precision."""
    halves = np.clip(embedding, -FLOAT16_MAX, FLOAT16_MAX).astype("<f2")
    named = None if space is None else _Space.model_validate(space, from_attributes=True).model_dump()
    return {"float16": base64.b64encode(halves.tobytes()).decode("ascii"), "dims": len(halves), "space": named}


def read_embedding(record: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return the embedding ``[dims]`` that `embedding_record` wrote."""
    return np.frombuffer(base64.b64decode(record["float16"]), "<f2").astype(np.float32)
