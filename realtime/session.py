"""One live session: from what a source yields to percepts and pictures.

The loop never waits for the renderer: a percept is left in its mailbox and its frames are fetched between chunks. Live,
replay and simulation differ only in the source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from configs.schema import Config
from realtime.axis import Fault, Hole
from realtime.bundle import Bundle, BundleError
from realtime.decoder import LinearDecoder
from realtime.drift import DriftCorrection
from realtime.epochs import Closed, Epoch, EpochEvent, Opened, Refused, Retracted, Samples
from realtime.evidence import Evidence, Percept
from realtime.pipeline import Pipeline, Sham
from realtime.rendering.frames import Frame, RenderRequest, RenderState
from realtime.sources.base import Chunk, Marker, Notice, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.low_level import LowLevelMap

RENDER_PATIENCE_S = 30.0
"""How long the end of a session waits for the frames of the last percept."""
KEPT_SINGLES = 1000
"""Embeddings of single trials, true and sham, that can still be taken back; a late hole reaches back ten seconds."""
PAUSED = "the session is paused"


class Renderer(Protocol):
    """What a session needs of a renderer; `realtime.rendering.worker.RenderWorker` is one."""

    @property
    def state(self) -> RenderState:
        """How the renderer is."""
        ...

    def submit(self, request: RenderRequest) -> int:
        """Leave a request; it replaces any that still waits."""
        ...

    def frames(self) -> list[Frame]:
        """Return what was painted since the last call, without waiting."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait until there are frames."""
        ...


@dataclass(frozen=True, eq=False)
class Decoded:
    """One trial's window, decoded.

    Attributes
    ----------
    percept
        What is now believed, all repeats together.
    single
        float32 ``[dims]``: the embedding of this trial alone.
    epoch
        The window itself.
    latency_us
        From the chunk that held the window's last sample reaching the session to the embedding.
    map_us
        The part of it that the map took.
    drift
        What is corrected at present: `shift` and `scale` as in `DriftCorrection`; None where nothing is followed.
    """

    percept: Percept
    single: NDArray[np.float32]
    epoch: Epoch
    latency_us: float
    map_us: float
    drift: dict[str, float] | None = None


@dataclass(frozen=True, eq=False)
class ShamDecoded:
    """The window of the same length that ends at a trial's onset, decoded by the same map: it must be at chance."""

    trial: int
    marker: Marker
    single: NDArray[np.float32]


@dataclass(frozen=True)
class Tick:
    """The session is alive: how far the data are, for a display.

    Attributes
    ----------
    stamp
        LSL clock time of the newest sample.
    arrived
        When it reached this machine.
    """

    stamp: float
    arrived: float


SessionEvent = Decoded | ShamDecoded | Frame | Refused | Retracted | Hole | Fault | Notice | Tick


class Session:
    """Decode what `source` yields with `bundle`, and let `renderer` paint it.

    Parameters
    ----------
    config
        Settings; the channels and their order are the bundle's.
    bundle
        The calibration.
    source
        Where EEG and markers come from.
    renderer
        Paints percepts; None for embeddings and retrieval alone.
    clock
        Gives the LSL clock's time.
    live
        Whether the stream's stamps are on that clock and of now; a recording's are not.

    Attributes
    ----------
    paused
        While true, windows are refused and nothing is painted.
    abstain_below
        Confidence under which no picture is painted.
    steps
        Of the renderer, for each picture from now on.
    drift
        Follows slow changes of the embeddings; None where the settings leave them alone.

    Raises
    ------
    BundleError
        If the stream is not what the bundle was fitted for; one line for each difference. If pictures are to start from
        a low-level map that the bundle does not have.
    """

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        source: Source,
        renderer: Renderer | None,
        clock: Callable[[], float],
        live: bool = True,
    ) -> None:
        problems = bundle.spec.differences(source.spec)
        if not problems:
            stream = config.stream.model_copy(update={"channels": bundle.spec.channels})
            config = bundle.completed(config.model_copy(update={"stream": stream}))
            spec = source.spec.at_rate_of(bundle.spec)
            self.pipeline = Pipeline(config, spec, sham=True)
            bundle.check_stream(
                spec,
                self.pipeline.filters,
                self.pipeline.rate_hz,
                self.pipeline.n_times,
                float(self.pipeline.times_s[0]),
            )
        else:
            bundle.check_stream(source.spec, bundle.filters, bundle.rate_hz, len(bundle.weights), bundle.first_s)
        check_low_level(config, bundle)
        self._config = config
        self._bundle = bundle
        self.paused = False
        self.abstain_below = config.evidence.abstain_below
        self.steps = config.render.steps
        self._source = source
        self._renderer = renderer
        self._clock = clock
        self._live = live
        self._low_level = bundle.low_level if renderer is not None and config.render.low_level else None
        self._decoder = _decoder(bundle, self._low_level)
        settings = config.evidence
        gallery, confidence = bundle.gallery, bundle.confidence
        self.evidence = Evidence(gallery, confidence, settings.neighbours, settings.accumulate, settings.decide_above)
        length = None if confidence is None else confidence.length
        self.drift = (
            DriftCorrection(gallery.mean, gallery.std, length, settings.adapt_trials) if settings.adapt else None
        )
        self._shams = Evidence(gallery, confidence, 0, settings.accumulate)
        self._sham_two_way: dict[int, float | None] = {}
        self._singles: dict[int, tuple[str | None, NDArray[np.float32]]] = {}  # a sham's trial is ~trial
        self._awaited: int | None = None
        self._added = 1  # how many samples came at once
        self._add_ns = 0  # when the newest samples were given to the map

    def run(self) -> Iterator[SessionEvent]:
        """Yield all that happens until the source ends, then what the renderer still owes."""
        for item in self._source.events():
            received, start_ns = self._clock(), time.perf_counter_ns()
            if isinstance(item, Marker) and self._live:
                item = replace(item, received=received)
            for event in self.pipeline.push(item):
                yield from self._handle(event, received, start_ns)
            if isinstance(item, Chunk):
                self._decoder.read_ahead(self._added)
                self.pipeline.work_ahead()
                yield Tick(float(item.stamps[-1]), item.arrived)
            yield from self._frames()
        for event in self.pipeline.finish():
            yield from self._handle(event, self._clock(), time.perf_counter_ns())
        yield from self.finish_rendering()

    def paint(self, percept: Percept) -> bool:
        """Ask the renderer for `percept`; return whether it was asked (there is one, and the evidence suffices)."""
        doubtful = percept.confidence is not None and percept.confidence < self.abstain_below
        if self._renderer is None or doubtful:
            return False
        percept.ledger["requested"] = self._clock()
        seed = self._config.render.seed
        start = None
        if self._low_level is not None and percept.low_level is not None:
            start = self._low_level.latent(percept.low_level)
        request = RenderRequest(percept.trial, percept.embedding, seed, self.steps, percept.ledger, start)
        self._awaited = self._renderer.submit(request)
        return True

    def finish_rendering(self, patience_s: float = RENDER_PATIENCE_S) -> Iterator[Frame]:
        """Yield frames until the last request's final one, or until the renderer is dead or silent for too long."""
        deadline = time.monotonic() + patience_s
        while self._renderer is not None and self._awaited is not None:
            yield from self._frames()
            left_s = deadline - time.monotonic()
            if self._awaited is None or left_s <= 0 or self._renderer.state.kind == "dead":
                return
            self._renderer.wait(min(left_s, 0.2))

    def shown(self, marker: Marker) -> str | None:
        """Return what was shown: the picture's name, or the class that the marker's label stands for."""
        return marker.picture if marker.picture is not None else self._config.markers.classes.get(marker.kind)

    def _handle(
        self, event: EpochEvent | Sham | Hole | Fault | Notice, received: float, start_ns: int
    ) -> Iterator[SessionEvent]:
        match event:
            case Opened(trial):
                self._decoder.open(trial)
            case Samples(trial, first, samples):
                self._add_ns, self._added = time.perf_counter_ns(), len(samples)
                self._decoder.add(trial, first, samples)
            case Closed(trial, epoch) if self.paused:
                self._decoder.drop(trial)
                self._sham_two_way.pop(trial, None)
                yield Refused(trial, epoch.marker, PAUSED)
            case Closed():
                yield self._decoded(event, received, start_ns)
            case Refused(trial):
                self._decoder.drop(trial)
                self._sham_two_way.pop(trial, None)
                yield event
            case Retracted(trial):
                self._take_back(trial, self.evidence)
                yield event
            case Sham():
                yield from self._sham(event)
            case _:
                yield event

    def _decoded(self, event: Closed, received: float, start_ns: int) -> Decoded:
        whole = self._decoder.close(event.trial)
        end_ns = time.perf_counter_ns()
        single = self._corrected(whole)
        epoch = event.epoch
        # A recording's stamps are of another day: only this run's own delays can be told.
        past = {"onset": epoch.onset, "last_sample": epoch.last_stamp, "arrived": epoch.arrived}
        if epoch.marker.received is not None:
            past["marker"] = epoch.marker.received
        ledger = (past if self._live else {"arrived": received}) | {"embedding": self._clock()}
        picture = self.shown(epoch.marker)
        target = epoch.marker.extra.get("target")
        target = target if isinstance(target, str) else None
        percept = self.evidence.add(event.trial, picture, whole, epoch.flags, ledger, target)
        percept = replace(percept, sham_two_way=self._sham_two_way.pop(event.trial, None))
        self._keep(event.trial, target if picture is None else picture, whole)
        self.paint(percept)
        drift = None if self.drift is None else {"shift": self.drift.shift, "scale": self.drift.scale}
        return Decoded(percept, single, epoch, (end_ns - start_ns) / 1e3, (end_ns - self._add_ns) / 1e3, drift)

    def _corrected(self, whole: NDArray[np.float32], learn: bool = True) -> NDArray[np.float32]:
        """Correct the embedding at the head of a window's sum in place, where drift is followed, and return it."""
        embedding = whole[: self._bundle.space.dims]
        if self.drift is not None:
            embedding[:] = self.drift.correct(embedding, learn=learn)
        return embedding

    def _keep(self, trial: int, key: str | None, whole: NDArray[np.float32]) -> None:
        """Keep what a trial's window came to for as long as it may turn out wrong."""
        self._singles[trial] = (key, whole)
        if len(self._singles) > KEPT_SINGLES:
            del self._singles[next(iter(self._singles))]

    def _take_back(self, trial: int, evidence: Evidence) -> None:
        if trial in self._singles:
            evidence.retract(*self._singles.pop(trial))

    def _sham(self, event: Sham) -> Iterator[ShamDecoded]:
        """Decode the window before a stimulus under a key that no true trial has."""
        match event.event:
            case Opened(trial):
                self._decoder.open(~trial)
            case Samples(trial, first, samples):
                self._decoder.add(~trial, first, samples)
            case Closed(trial, epoch):
                whole, picture = self._decoder.close(~trial), self.shown(epoch.marker)
                single = self._corrected(whole, learn=False)
                self._sham_two_way[trial] = self._shams.add(trial, picture, single).two_way
                self._keep(~trial, picture, single)
                yield ShamDecoded(trial, epoch.marker, single)
            case Refused(trial):
                self._decoder.drop(~trial)
            case Retracted(trial):
                self._take_back(~trial, self._shams)

    def _frames(self) -> Iterator[Frame]:
        if self._renderer is None:
            return
        for frame in self._renderer.frames():
            if frame.final and frame.request == self._awaited:
                self._awaited = None
            yield frame


def check_low_level(config: Config, bundle: Bundle) -> None:
    """Refuse settings that start pictures from a low-level map which the bundle does not have, or has for others.

    Raises
    ------
    BundleError
        With what differs.
    """
    if not config.render.low_level:
        return
    if bundle.low_level is None:
        msg = "render.low_level: the bundle has no low-level map; fit it with fit.low_level_rank, for example 64"
        raise BundleError(msg)
    misfit = bundle.low_level.misfit(config.render.generator, config.render.pixels)
    if misfit is not None:
        raise BundleError(misfit)


def _decoder(bundle: Bundle, low_level: LowLevelMap | None) -> LinearDecoder:
    """Return what applies the bundle's map and, behind it, the low-level one in the same product."""
    weights, bias = bundle.weights, bundle.bias
    if low_level is not None:
        weights = np.concatenate([weights, low_level.weights], axis=2)
        bias = np.concatenate([bias, low_level.bias])
    return LinearDecoder(weights, bias, bundle.mean_input)
