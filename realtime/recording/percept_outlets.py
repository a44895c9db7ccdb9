"""What the session sees, as LSL streams: LabRecorder keeps them and any LSL program can listen.

``<session> percepts`` carries one JSON object a percept, as in the events on MQTT but without the embedding, and notes;
``<session> embeddings`` carries the embedding, one channel a dimension, and names the space in its metadata.
Both samples of one percept bear the same timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import pylsl

from realtime.control.messages import SCHEMA
from realtime.control.percept_record import percept_record
from realtime.mqtt.json import to_json

if TYPE_CHECKING:
    from realtime.decoding.evidence import Percept
    from realtime.spaces import EmbeddingSpace

PERCEPTS_TYPE = "Percepts"
"""Type of the stream of percepts; not ``Markers``, or a session that looks for those would find its own percepts."""
EMBEDDINGS_TYPE = "Embeddings"


class PerceptOutlets:
    """Two LSL outlets; pushing never waits for who listens.

    Parameters
    ----------
    session
        The session's name; with it, a stream that is interrupted and comes back is known again.
    space
        What the embeddings are.
    software
        Version that goes into the metadata.
    """

    def __init__(self, session: str, space: EmbeddingSpace, software: str) -> None:
        self._space = space
        percepts = pylsl.StreamInfo(
            f"{session} percepts",
            PERCEPTS_TYPE,
            1,
            pylsl.IRREGULAR_RATE,
            pylsl.cf_string,
            f"perceptogram-percepts-{session}",
        )
        embeddings = pylsl.StreamInfo(
            f"{session} embeddings",
            EMBEDDINGS_TYPE,
            space.dims,
            pylsl.IRREGULAR_RATE,
            pylsl.cf_float32,
            f"perceptogram-embeddings-{session}",
        )
        for info in (percepts, embeddings):
            _describe(info, space, software)
        channels = embeddings.desc().append_child("channels")
        for number in range(space.dims):
            channel = channels.append_child("channel")
            channel.append_child_value("label", f"dim{number}")
            channel.append_child_value("type", EMBEDDINGS_TYPE)
            channel.append_child_value("unit", "none")
        self._percepts: pylsl.StreamOutlet | None = pylsl.StreamOutlet(percepts)
        self._embeddings: pylsl.StreamOutlet | None = pylsl.StreamOutlet(embeddings)

    @property
    def uids(self) -> tuple[str, ...]:
        """The outlets' own ids: a session of the same name elsewhere has others."""
        return tuple(outlet.get_info().uid() for outlet in (self._percepts, self._embeddings) if outlet is not None)

    def push(self, percept: Percept, timestamp: float | None = None) -> None:
        """Send one percept.

        Parameters
        ----------
        percept
            What the decoder says.
        timestamp
            When it said so, in seconds on the LSL clock; now when left out.

        Raises
        ------
        ValueError
            If the embedding has other dimensions than the space, or the outlets are closed.
        """
        if self._percepts is None or self._embeddings is None:
            msg = f"trial {percept.trial}: the percept outlets are closed"
            raise ValueError(msg)
        embedding = np.ascontiguousarray(percept.embedding, dtype=np.float32)
        if embedding.shape != (self._space.dims,):
            wanted = f"[{self._space.dims}]"
            msg = f"trial {percept.trial}: embedding of shape {list(embedding.shape)}, the stream has {wanted}"
            raise ValueError(msg)
        when = pylsl.local_clock() if timestamp is None else timestamp
        text = to_json({"schema": SCHEMA, "kind": "percept"} | percept_record(percept)).decode()
        self._percepts.push_sample([text], when)
        self._embeddings.push_sample(embedding, when)

    def stages(self, trial: int, ledger: Mapping[str, float]) -> None:
        """Send the times of a trial's stages, once its picture is complete, on the stream of the percepts.

        Raises
        ------
        ValueError
            If the outlets are closed.
        """
        if self._percepts is None:
            msg = f"trial {trial}: the percept outlets are closed"
            raise ValueError(msg)
        record = {"schema": SCHEMA, "kind": "ledger", "trial": trial, "ledger": dict(ledger)}
        self._percepts.push_sample([to_json(record).decode()], pylsl.local_clock())

    def note(self, text: str, timestamp: float | None = None) -> None:
        """Send a note, such as one that an experimenter wants in the recording, on the stream of the percepts.

        Raises
        ------
        ValueError
            If the outlets are closed.
        """
        if self._percepts is None:
            msg = f"note {text!r}: the percept outlets are closed"
            raise ValueError(msg)
        record = to_json({"schema": SCHEMA, "kind": "note", "text": text}).decode()
        self._percepts.push_sample([record], pylsl.local_clock() if timestamp is None else timestamp)

    def close(self) -> None:
        """Close both streams. Safe to call twice."""
        self._percepts = self._embeddings = None  # liblsl closes an outlet when nobody holds it

    def __enter__(self) -> PerceptOutlets:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _describe(info: pylsl.StreamInfo, space: EmbeddingSpace, software: str) -> None:
    described = info.desc()
    described.append_child_value("schema", str(SCHEMA))
    described.append_child_value("software", f"perceptogram-live {software}")
    node = described.append_child("space")
    for key, value in (
        ("model", space.model),
        ("pretrained", space.pretrained),
        ("dims", str(space.dims)),
        ("normalised", str(space.normalised).lower()),
    ):
        node.append_child_value(key, value)
