"""What a session says as Open Sound Control, for programs that make light and sound: numbers by address, over UDP.

docs/monitor.md lists the addresses. Everything that one percept says travels in one bundle, so that none of it is of
another trial.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from configs.errors import InputError
from realtime.control.messages import Event
from realtime.decoding.evidence import Percept
from realtime.rendering.messages import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import OutputSettings
    from realtime.control.messages import StateMessage
    from realtime.decoding.bundle import Bundle
    from realtime.decoding.filtered_patterns import Patterns

logger = logging.getLogger(__name__)

ROOT = "/perceptogram"
UNKNOWN = -1.0
"""Stands for a number that is not known, since a missing message would leave the last one standing."""
Words = tuple[str, tuple[str | int | float, ...]]
"""An address and its arguments."""


class OscError(InputError):
    """A program that cannot be told."""

    about = "osc"


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """The directions in which the gallery's pictures differ most.

    Attributes
    ----------
    mean
        float32 ``[dims]``.
    axes
        float32 ``[components, dims]``, the largest first, each divided by its standard deviation over the gallery; its
        largest weight is positive.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    @classmethod
    def of(cls, embeddings: NDArray[np.float32], components: int) -> PrincipalAxes:
        """Return those of `embeddings` ``[pictures, dims]``: as many as asked for, or as there are."""
        mean = embeddings.mean(axis=0, dtype=np.float64)
        centred = embeddings - mean
        variances, axes = np.linalg.eigh(centred.T @ centred / max(1, len(embeddings) - 1))
        kept = min(components, int((variances > 1e-9 * variances[-1]).sum()))
        axes, spread = axes.T[::-1][:kept], np.sqrt(variances[::-1][:kept])
        signs = np.sign(axes[np.arange(kept), np.abs(axes).argmax(axis=1)])
        return cls(mean.astype(np.float32), (axes * (signs / spread)[:, None]).astype(np.float32))

    def __call__(self, embedding: NDArray[np.float32]) -> list[float]:
        """Return the components of an embedding ``[dims]``, in standard deviations of the gallery's pictures."""
        values: list[float] = (self.axes @ (embedding - self.mean)).tolist()
        return values


@dataclass(frozen=True, eq=False)
class OscTarget:
    """A program that is told, and how embeddings are put into numbers for it.

    Attributes
    ----------
    host, port
        Where it listens; the host is a number.
    axes
        What it is told of the embedding.
    patterns
        Reads attributes from the embedding; None where the bundle has none.
    candidates
        Pictures that can be the answer.
    """

    host: str
    port: int
    axes: PrincipalAxes
    patterns: Patterns | None
    candidates: int


def osc_targets(outputs: Sequence[OutputSettings], bundle: Bundle, candidates: int) -> tuple[OscTarget, ...]:
    """Return whom the settings name.

    Parameters
    ----------
    outputs
        The settings.
    bundle
        The calibration; the principal components are those of its whole gallery, and so the same in every session.
    candidates
        Pictures that can be the answer.

    Raises
    ------
    OscError
        If a name is not known.
    """
    targets = []
    for output in outputs:
        parts = urlsplit(output.osc)
        try:
            address = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)[0][4]
        except (OSError, ValueError) as error:
            msg = f"outputs: {output.osc} cannot be reached: {getattr(error, 'strerror', None) or error}"
            raise OscError(msg) from error
        axes = PrincipalAxes.of(bundle.gallery.embeddings, output.components)
        targets.append(OscTarget(str(address[0]), int(address[1]), axes, bundle.patterns, candidates))
    return tuple(targets)


class OscLink:
    """Tells one program; what it does not take is lost."""

    def __init__(self, target: OscTarget) -> None:
        from pythonosc.udp_client import UDPClient

        self._target = target
        self._client = UDPClient(target.host, target.port)

    def tell(self, what: Percept | Frame | Event | StateMessage) -> None:
        """Send what is said in one bundle, without waiting."""
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder

        bundle = OscBundleBuilder(IMMEDIATELY)
        empty = True
        for address, arguments in osc_words(what, self._target):
            message = OscMessageBuilder(f"{ROOT}/{address}")
            for argument in arguments:
                message.add_arg(argument)
            bundle.add_content(message.build())
            empty = False
        if empty:
            return
        try:
            self._client.send(bundle.build())
        except OSError as error:
            logger.info("%s:%d is not told: %s", self._target.host, self._target.port, error)

    def close(self) -> None:
        """End it."""
        self._client.close()


def osc_words(what: Percept | Frame | Event | StateMessage, target: OscTarget) -> Iterator[Words]:
    """Yield the addresses, below the root, and arguments that `what` is told by."""
    if isinstance(what, Percept):
        yield from _percept(what, target)
    elif isinstance(what, Frame):
        yield "frame", (what.trial, what.step, what.of)
    elif isinstance(what, Event):
        data = what.data
        if what.kind == "refused":
            yield "refused", (int(data["trial"]), str(data["because"]))
        elif what.kind == "notice":
            yield "notice", (str(data["notice"]), str(data["text"]))
    else:
        yield "state", (what.state,)


def _percept(percept: Percept, target: OscTarget) -> Iterator[Words]:
    nearest = percept.neighbours[0] if percept.neighbours else None
    yield "trial", (percept.trial,)
    yield "picture", (percept.picture or "",)
    yield "label", ("" if nearest is None else nearest.label,)
    yield "similarity", (UNKNOWN if nearest is None else _number(nearest.similarity),)
    yield "confidence", (_number(percept.confidence),)
    yield "chance", (1 / target.candidates,)
    yield "repeats", (percept.repeats,)
    yield "decided", (int(percept.decided),)
    yield "at_s", (_number(percept.at_s),)
    yield "two_way", (_number(percept.two_way),)
    yield "pre_stimulus_two_way", (_number(percept.pre_stimulus_two_way),)
    yield "embedding", tuple(target.axes(percept.embedding))
    if target.patterns is not None:
        for name, level, values in target.patterns.levels(percept.embedding):
            yield f"attribute/{name.replace(' ', '_')}", (level, *map(float, values))


def _number(value: float | None) -> float:
    return float(value) if value is not None and np.isfinite(value) else UNKNOWN
