"""One live session: from what a source yields to percepts and pictures.

The loop never waits for the renderer: a percept is left in its mailbox, and the source is woken when a frame is there.
Live, replay and simulation differ only in the source. No failure of a stage ends the session: it is told, and the stage
begins again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from configs.schema import Config
from realtime.decoding.bundle import Bundle
from realtime.decoding.early_answers import EarlyAnswer, answers_of
from realtime.decoding.evidence import Percept, PictureEvidence
from realtime.decoding.linear_decoder import make_decoder
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Closed, Epoch, Opened, Refused, Retracted, Samples, SoFar
from realtime.epoching.pipeline import Pipeline, PipelineEvent, PreStimulus
from realtime.failures import Failures
from realtime.painter import Late, Painter, Renderer
from realtime.rendering.messages import Frame, RendererNotice
from realtime.session_events import Answered as Answered
from realtime.session_events import Decoded as Decoded
from realtime.session_events import OnScreen as OnScreen
from realtime.session_events import PreStimulusDecoded as PreStimulusDecoded
from realtime.session_events import SessionEvent as SessionEvent
from realtime.session_events import Tick as Tick
from realtime.sources.base import WOKEN, Chunk, Marker, Notice, NoticeKind, Source
from realtime.windows import WindowDecoder
from stimuli.markers import class_of, target_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

RENDER_PATIENCE_S = 30.0
"""Seconds that the end of a session waits for the frames of the last percept."""
KEPT_SINGLES = 1000
"""Embeddings of single trials and pre-stimulus windows that can be taken back; a late hole reaches back ten seconds."""
KEPT_NEWS = 100
"""Notices and times from elsewhere that wait for the session."""
PAUSED = "the session is paused"


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
    InputError
        If windows are to be answered before they end, and the bundle cannot.
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
            self._early = answers_of(bundle.early, config.evidence, bundle.mean_input, bundle.first_s, bundle.rate_hz)
            watch = config.artefacts.take_out
            self.pipeline = Pipeline(config, spec, pre_stimulus=True, watch=watch, answers=tuple(self._early))
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
        settings = config.evidence
        self.painter = Painter(
            renderer, clock, config.render, settings.abstain_below, low_level, settings.preview_above
        )
        self._columns, self._decoder = make_decoder(bundle, low_level)
        gallery, confidence = bundle.candidates, bundle.confidence
        self.evidence = PictureEvidence(
            gallery, confidence, settings.neighbours, settings.accumulate, settings.decide_above, self._columns
        )
        self._windows = WindowDecoder(settings, bundle, self._decoder, self._columns)
        if config.artefacts.take_out:
            self._windows.make_room()
        self._control = PictureEvidence(gallery, confidence, 0, settings.accumulate)
        self._pre_stimulus_two_way: dict[int, float | None] = {}
        self._ended: set[int] = set()  # decided: what the newest samples still bring of their windows is left out
        # A pre-stimulus window's trial is ~trial.
        self._singles: dict[int, tuple[str | None, NDArray[np.float32], float]] = {}
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
                    yield Tick(float(item.timestamps[-1]))
            yield from self._news()
        yield from self._guarded(self._finish())
        yield from self._finish_rendering()

    def tell(self, kind: NoticeKind, text: str) -> None:
        """Have a notice come among the events, soon; from any thread."""
        self._hear(Notice(self._clock(), kind, text))

    def unheard(self) -> list[Notice]:
        """Return the notices that came too late to be among the events."""
        return [news for news in self._news() if isinstance(news, Notice)]

    def on_screen(self, picture: OnScreen) -> None:
        """Have it come among the events, soon, that a picture is on the screen; from any thread."""
        self._hear(picture)

    def _hear(self, news: Notice | OnScreen) -> None:
        self._told.append(news)
        self._source.wake()

    def _ask(self, percept: Percept, *, preview: bool = False) -> Percept | None:
        """Ask for a picture as `Painter.ask` does; the EEG goes on without one."""
        try:
            return self.painter.ask(percept, preview=preview)
        except Exception as error:
            self.tell("failed", f"{self.failures.note('painting', error)}; trial {percept.trial} is not painted")
            return None

    def paint(self, percepts: Sequence[Percept], wanted: Callable[[], bool]) -> Iterator[SessionEvent]:
        """Yield the pictures of `percepts`, one after another, while they are `wanted`; none glides."""
        self.painter.flow = 0.0
        said = False
        for percept in percepts:
            if not wanted():
                return
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
        self._ended.clear()
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
            case Samples(trial) | SoFar(trial) | Closed(trial) | Refused(trial) if trial in self._ended:
                pass
            case SoFar():
                if not self.paused:
                    yield self._answered(event, received, start_ns)
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
                yield Notice(event.timestamp, "electrodes", event.text + self._windows.how_guessed)
            case _:
                yield event

    def _decoded(self, event: Closed, received: float, start_ns: int) -> Decoded:
        epoch = event.epoch
        whole = self._windows.close(event.trial, epoch)
        taken_us = _since_us(start_ns), _since_us(self._add_ns)
        return self._final(self._believed(epoch, whole, received), epoch, whole, taken_us)

    def _answered(self, event: SoFar, received: float, start_ns: int) -> Answered | Decoded:
        """Answer an open window; one that is decided ends here."""
        trial, epoch, begin_ns = event.trial, event.epoch, time.perf_counter_ns()
        early = self._early[len(epoch.samples)]
        whole = self._windows.answer(trial, epoch, early)
        taken_us = _since_us(start_ns), _since_us(begin_ns)
        percept = self._believed(epoch, whole, received, early)
        if not percept.decided:
            # No picture of an earlier trial shall follow a preview.
            first = all(trial <= other for other in self._decoder.open_trials if other >= 0)
            percept = (self._ask(percept, preview=True) if first else None) or percept
            return Answered(percept, self._columns.compared(whole), epoch)
        self._decoder.drop(trial)
        self._ended.add(trial)
        self.pipeline.end(trial, early.seen)
        return self._final(percept, epoch, whole, taken_us, early.share)

    def _believed(
        self, epoch: Epoch, whole: NDArray[np.float32], received: float, early: EarlyAnswer | None = None
    ) -> Percept:
        """Return what is believed with what an epoch came to, `whole` ``[dims]``."""
        # A recording's timestamps are of another day: only this run's own delays can be told.
        ledger = {"arrived": received}
        if epoch.arrived is not None:
            ledger = {"onset": epoch.onset, "last_sample": epoch.last_timestamp, "arrived": epoch.arrived}
            if epoch.marker.received is not None:
                ledger["marker"] = epoch.marker.received
        ledger["embedding"] = self._clock()
        picture, target = self.shown(epoch.marker), target_of(epoch.marker)
        percept = self.evidence.add(epoch.trial, picture, whole, epoch.flags, ledger, target, early)
        return replace(percept, pre_stimulus_two_way=self._pre_stimulus_two_way.get(epoch.trial))

    def _final(
        self,
        percept: Percept,
        epoch: Epoch,
        whole: NDArray[np.float32],
        taken_us: tuple[float, float],
        share: float = 1.0,
    ) -> Decoded:
        """Return the last word on a trial, its picture asked for."""
        self._pre_stimulus_two_way.pop(epoch.trial, None)
        self._keep(epoch.trial, target_of(epoch.marker) if percept.picture is None else percept.picture, whole, share)
        percept = self._ask(percept) or percept
        single = self._columns.compared(whole)
        return Decoded(percept, single, epoch, *taken_us, self._windows.correction)

    def _keep(self, trial: int, key: str | None, whole: NDArray[np.float32], share: float = 1.0) -> None:
        """Keep what a trial's window came to, and was worth, for as long as it may turn out wrong."""
        self._singles[trial] = (key, whole, share)
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


def _since_us(begin_ns: int) -> float:
    return (time.perf_counter_ns() - begin_ns) / 1e3
