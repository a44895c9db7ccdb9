"""One live session: from what a source yields to percepts and pictures.

The loop never waits for the renderer: a percept is left in its mailbox, and the source is woken when a frame is there.
Live, replay and simulation differ only in the source. No failure of a stage ends the session: it is told, and the stage
begins again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from configs.schema import Config
from realtime.decoding.bundle import Bundle
from realtime.decoding.columns import make_decoder
from realtime.decoding.evidence import Percept, PictureEvidence
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Closed, Epoch, Opened, Refused, Retracted, Samples
from realtime.epoching.pipeline import Pipeline, PipelineEvent, PreStimulus, Settled
from realtime.failures import Failures
from realtime.painter import Late, Painter, Renderer
from realtime.rendering.messages import Frame, RendererNotice
from realtime.sources.base import WOKEN, Chunk, Marker, Notice, NoticeKind, Source
from realtime.timeline.sample_grid import Fault, Hole
from realtime.windows import WindowDecoder
from stimuli.markers import class_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

RENDER_PATIENCE_S = 30.0
"""Seconds that the end of a session waits for the frames of the last percept."""
KEPT_SINGLES = 1000
"""Embeddings of single trials and pre-stimulus windows that can be taken back; a late hole reaches back ten seconds."""
KEPT_NEWS = 100
"""Notices and times from elsewhere that wait for the session."""
PAUSED = "the session is paused"


@dataclass(frozen=True, eq=False)
class Decoded:
    """One trial's window, decoded.

    Attributes
    ----------
    percept
        What is now believed, all repeats together.
    single
        float32 ``[dims]``: of this trial alone, what is compared with the candidates.
    epoch
        The window itself.
    latency_us
        From the chunk that held the window's last sample reaching the session to the embedding.
    map_us
        The part of it that the map took.
    drift
        What was corrected in it, as `WindowDecoder.correction` says it; None for nothing.
    """

    percept: Percept
    single: NDArray[np.float32]
    epoch: Epoch
    latency_us: float
    map_us: float
    drift: dict[str, float] | None = None


@dataclass(frozen=True, eq=False)
class PreStimulusDecoded:
    """The window of the same length that ends at a trial's onset, decoded by the same map: it must be at chance.

    `shown` is what followed, as `Session.shown` names it.
    """

    trial: int
    marker: Marker
    single: NDArray[np.float32]
    shown: str | None


@dataclass(frozen=True)
class Tick:
    """The session is alive, and the newest sample is of `stamp`, in seconds on the LSL clock."""

    stamp: float


@dataclass(frozen=True)
class OnScreen:
    """A trial's final picture is on the screen since `stamp`, in seconds on the LSL clock."""

    trial: int
    stamp: float


SessionEvent = (
    Decoded
    | PreStimulusDecoded
    | Frame
    | Late
    | OnScreen
    | Refused
    | Retracted
    | ElectrodeChange
    | Settled
    | Hole
    | Fault
    | Notice
    | Tick
)


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

    Attributes
    ----------
    paused
        While true, windows are refused and nothing is painted.
    painter
        Asks for the pictures: with how many steps, and from which confidence on.
    failures
        What has failed so far; whoever observes the session counts their own failures there as well.

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
    ) -> None:
        problems = bundle.spec.differences(source.spec)
        if not problems:
            stream = config.stream.model_copy(update={"channels": bundle.spec.channels})
            config = bundle.completed(config.model_copy(update={"stream": stream}))
            spec = source.spec.at_rate_of(bundle.spec)
            self.pipeline = Pipeline(config, spec, pre_stimulus=True, watch=config.artefacts.take_out)
            bundle.check_stream(
                spec,
                self.pipeline.filters,
                self.pipeline.rate_hz,
                self.pipeline.n_times,
                float(self.pipeline.times_s[0]),
            )
        else:
            bundle.check_stream(source.spec, bundle.filters, bundle.rate_hz, len(bundle.weights), bundle.first_s)
        bundle.check_low_level(config.render)
        self._config = config
        self._bundle = bundle
        self.paused = False
        self.failures = Failures()
        self._told: deque[Notice | OnScreen] = deque(maxlen=KEPT_NEWS)
        self._source = source
        self._clock = clock
        low_level = bundle.low_level if renderer is not None and config.render.low_level else None
        self.painter = Painter(renderer, clock, config.render, config.evidence.abstain_below, low_level)
        self._columns, self._decoder = make_decoder(bundle, low_level)
        settings = config.evidence
        gallery, confidence = bundle.candidates, bundle.confidence
        self.evidence = PictureEvidence(
            gallery, confidence, settings.neighbours, settings.accumulate, settings.decide_above, self._columns
        )
        self._windows = WindowDecoder(settings, bundle, self._decoder, self._columns)
        if config.artefacts.take_out:
            self._windows.make_room()
        self._control = PictureEvidence(gallery, confidence, 0, settings.accumulate)
        self._pre_stimulus_two_way: dict[int, float | None] = {}
        self._singles: dict[int, tuple[str | None, NDArray[np.float32]]] = {}  # a pre-stimulus window's trial is ~trial
        self._added = 1  # how many samples came at once
        self._add_ns = 0  # when the newest samples were given to the map

    def run(self) -> Iterator[SessionEvent]:
        """Yield all that happens until the source ends, then what the renderer still owes.

        Raises
        ------
        SessionFailedError
            If a stage fails again and again.
        """
        self.painter.listen(self._source.wake)
        for item in self._source.events():
            if item is not WOKEN:
                received, start_ns = self._clock(), time.perf_counter_ns()
                yield from self._guarded(self._push(item, received, start_ns))
                if isinstance(item, Chunk):
                    yield Tick(float(item.stamps[-1]))
            yield from self._news()
        yield from self._guarded(self._finish())
        yield from self._finish_rendering()

    def tell(self, kind: NoticeKind, text: str) -> None:
        """Have a notice come among the events, soon; from any thread."""
        self._hear(Notice(self._clock(), kind, text))

    def on_screen(self, trial: int, stamp: float) -> None:
        """Have it come among the events, soon, that a trial's final picture is on the screen; from any thread."""
        self._hear(OnScreen(trial, stamp))

    def _hear(self, news: Notice | OnScreen) -> None:
        self._told.append(news)
        self._source.wake()

    def _ask(self, percept: Percept) -> Percept | None:
        """Ask for a picture as `Painter.ask` does; the EEG goes on without one."""
        try:
            return self.painter.ask(percept)
        except Exception as error:
            self.tell("failed", f"{self.failures.note('painting', error)}; trial {percept.trial} is not painted")
            return None

    def paint(self, percepts: Sequence[Percept]) -> Iterator[SessionEvent]:
        """Yield the pictures of `percepts`, one after another, while the renderer paints them; none glides."""
        self.painter.flow = 0.0
        said = False
        for percept in percepts:
            if self._ask(percept) is None:
                continue
            if not said:
                said = True
                text = f"painting what is left, {len(percepts)} pictures at most; another Ctrl-C leaves them"
                yield Notice(self._clock(), "ending", text)
            painted = False
            for event in self._finish_rendering():
                painted |= isinstance(event, Frame) and event.final and event.trial == percept.trial
                yield event
            if not painted:
                return  # a renderer that hangs would hang at each of them

    def _finish_rendering(self) -> Iterator[SessionEvent]:
        """Yield what comes until the last picture asked for is there or given up, or the renderer silent for long."""
        for news in self.painter.finish(RENDER_PATIENCE_S):
            yield self._notice(news)
        yield from self._news()

    def shown(self, marker: Marker) -> str | None:
        """Return what was shown: the picture's name, or the class that the marker's label stands for."""
        return marker.picture if marker.picture is not None else class_of(marker, self._config.markers.classes)

    def _push(self, item: Chunk | Marker | Notice, received: float, start_ns: int) -> Iterator[SessionEvent]:
        if isinstance(item, Marker):
            item = replace(item, received=received)
        for event in self.pipeline.push(item):
            yield from self._handle(event, received, start_ns)
        if isinstance(item, Chunk):
            self._decoder.read_ahead(self._added)
            self.pipeline.work_ahead()

    def _finish(self) -> Iterator[SessionEvent]:
        for event in self.pipeline.finish():
            yield from self._handle(event, self._clock(), time.perf_counter_ns())

    def _guarded(self, events: Iterator[SessionEvent]) -> Iterator[SessionEvent]:
        """Yield `events`; where they fail, refuse what was open and go on with a new pipeline, whose filters settle."""
        try:
            yield from events
            return
        except Exception as error:
            text = self.failures.note("decoding", error)
        yield Notice(self._clock(), "failed", f"{text}; it begins again")
        for event in self.pipeline.abandon(text):
            yield from self._handle(event, 0.0, 0)
        for trial in self._decoder.open_trials:
            self._decoder.drop(trial)
        self.pipeline = self.pipeline.again()

    def _news(self) -> Iterator[SessionEvent]:
        """Yield what came from other threads: pictures and notices."""
        for news in self.painter.news():
            yield self._notice(news)
        while self._told:
            yield self._told.popleft()

    def _notice(self, news: Frame | Late | RendererNotice) -> Frame | Late | Notice:
        return Notice(self._clock(), news.kind, f"renderer: {news.text}") if isinstance(news, RendererNotice) else news

    def _handle(self, event: PipelineEvent, received: float, start_ns: int) -> Iterator[SessionEvent]:
        match event:
            case Opened(trial):
                self._windows.open(trial, event.onset)
            case Samples(trial):
                self._add_ns, self._added = time.perf_counter_ns(), len(event.samples)
                self._windows.add(trial, event)
            case Closed(trial, epoch) if self.paused:
                self._decoder.drop(trial)
                self._pre_stimulus_two_way.pop(trial, None)
                yield Refused(trial, epoch.marker, PAUSED, "paused")
            case Closed():
                yield self._decoded(event, received, start_ns)
            case Refused(trial):
                self._decoder.drop(trial)
                self._pre_stimulus_two_way.pop(trial, None)
                yield event
            case Retracted(trial):
                self._take_back(trial, self.evidence)
                self._windows.take_back(trial)
                yield event
            case PreStimulus():
                yield from self._pre_stimulus(event)
            case ElectrodeChange():
                self._windows.prepare(event.without)
                yield event
                yield Notice(event.stamp, "electrodes", event.text)
            case _:
                yield event

    def _decoded(self, event: Closed, received: float, start_ns: int) -> Decoded:
        epoch = event.epoch
        whole = self._windows.close(event.trial, epoch)
        end_ns = time.perf_counter_ns()
        single = self._columns.compared(whole)
        # A recording's timestamps are of another day: only this run's own delays can be told.
        ledger = {"arrived": received}
        if epoch.arrived is not None:
            ledger = {"onset": epoch.onset, "last_sample": epoch.last_stamp, "arrived": epoch.arrived}
            if epoch.marker.received is not None:
                ledger["marker"] = epoch.marker.received
        ledger["embedding"] = self._clock()
        picture = self.shown(epoch.marker)
        target = epoch.marker.extra.get("target")
        target = target if isinstance(target, str) else None
        percept = self.evidence.add(event.trial, picture, whole, epoch.flags, ledger, target)
        percept = replace(percept, pre_stimulus_two_way=self._pre_stimulus_two_way.pop(event.trial, None))
        self._keep(event.trial, target if picture is None else picture, whole)
        percept = self._ask(percept) or percept
        drift = self._windows.correction
        return Decoded(percept, single, epoch, (end_ns - start_ns) / 1e3, (end_ns - self._add_ns) / 1e3, drift)

    def _keep(self, trial: int, key: str | None, whole: NDArray[np.float32]) -> None:
        """Keep what a trial's window came to for as long as it may turn out wrong."""
        self._singles[trial] = (key, whole)
        if len(self._singles) > KEPT_SINGLES:
            del self._singles[next(iter(self._singles))]

    def _take_back(self, trial: int, evidence: PictureEvidence) -> None:
        if trial in self._singles:
            evidence.retract(*self._singles.pop(trial))

    def _pre_stimulus(self, event: PreStimulus) -> Iterator[PreStimulusDecoded]:
        """Decode the window before a stimulus under a key that no true trial has."""
        match event.event:
            case Opened(trial):
                self._windows.open(~trial, event.event.onset)
            case Samples(trial) as samples:
                self._windows.add(~trial, samples)
            case Closed(trial, epoch):
                picture = self.shown(epoch.marker)
                single = self._columns.compared(self._windows.close(~trial, epoch, learn=False))
                two_way = self._control.add(trial, picture, single).two_way
                if trial in self._decoder.open_trials:  # else its percept has been told
                    self._pre_stimulus_two_way[trial] = two_way
                self._keep(~trial, picture, single)
                yield PreStimulusDecoded(trial, epoch.marker, single, picture)
            case Refused(trial):
                self._decoder.drop(~trial)
            case Retracted(trial):
                self._take_back(~trial, self._control)
