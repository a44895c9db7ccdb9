"""The whole loop on one machine: a simulated participant looks at pictures, is calibrated, and is decoded live.

Every part is the real one and runs where it would in a laboratory: the participant, the presenter, the recorder, the
LSL reader and the renderer are processes of their own that meet over the Lab Streaming Layer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from configs.schema import Config
from perceptogram.live import folder as session_folder
from perceptogram.live.run import Finished, decode
from perceptogram.live.streams import RECORDING, RECORDINGS
from realtime.decoding.bundle import Bundle
from realtime.display.contact_sheet import SheetEntry
from realtime.recording.recorder import Recorder, Wanted
from realtime.rendering.worker import RenderWorker
from realtime.session import SessionEvent, Tick
from realtime.sources import lsl_config
from realtime.sources.lsl import LslSource
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.child import ChildProcess
from stimuli.marker_outlet import NAME
from stimuli.picture_set import PictureSet
from stimuli.pictures import choose_pictures, open_pictures
from stimuli.presenter import BEGIN, PresenterJob, start_presenter
from stimuli.sequence import Plan, plan, save_plan

FILES = (
    *session_folder.FILES,
    "contact_sheet.png",
    "bundle",
    "*_plan.jsonl",
    "*_frames.jsonl",
    "calibration*.xdf",
    RECORDINGS,
)
"""All that a demo leaves behind."""
HEARING_S = 30.0
SETTLE_S = 3.0
"""EEG before the first live picture, so that no window is refused because the filters had just started."""
CALIBRATION_REPEATS = 2
"""Pictures that come again teach how much repeats may be believed."""


@dataclass(frozen=True)
class DemoSettings:
    """How long the demo takes and how well its participant can be read.

    Attributes
    ----------
    seed
        Of the participant, the pictures and their order.
    snr
        Size of the evoked response; 0 for none at all.
    calibration_s
        How long pictures are shown before the fit.
    n_pictures, repeats
        New pictures decoded live, and how often each is shown.
    onset_to_onset_s
        Pace of the live part; slower than calibration, so that pictures can be painted between stimuli.
    headless
        Show the stimuli to nobody.
    """

    seed: int = 0
    snr: float = 1.0
    calibration_s: float = 110.0
    n_pictures: int = 20
    repeats: int = 5
    onset_to_onset_s: float = 0.5
    headless: bool = True


class Demo:
    """Calibration and live decoding with one simulated participant, who lives as long as the context.

    Parameters
    ----------
    config
        Settings of the session.
    settings
        Of the demo.
    out
        Folder for everything that is left behind.
    """

    def __init__(self, config: Config, settings: DemoSettings, out: Path) -> None:
        self._config = config
        self._settings = settings
        self._out = out
        self.pictures: PictureSet = open_pictures(config.pictures)
        self._participant: ChildProcess | None = None
        self._showings = 0
        self._renderer: RenderWorker | None = None

    def __enter__(self) -> Demo:
        settings = self._settings
        self._scratch = tempfile.TemporaryDirectory()
        lsl_config.use(lsl_config.loopback(), Path(self._scratch.name) / "lsl_api.cfg")
        self._renderer = RenderWorker(self._config.render).start()
        self._participant = start_simulated(
            SimulatedStream(
                participant=SimulationSettings(seed=settings.seed, snr=settings.snr),
                pictures=self._config.pictures,
                markers=self._config.markers,
            )
        )
        return self

    def __exit__(self, *_error: object) -> None:
        if self._participant is not None:
            self._participant.stop()
        if self._renderer is not None:
            self._renderer.stop()
        self._scratch.cleanup()

    def calibrate(self, progress: Progress) -> tuple[Bundle, int]:
        """Show pictures, record, fit; return the bundle and how many trials it was fitted on."""
        from calibration.fit import fit

        settings, stimulus = self._settings, self._config.stimulus
        one_s = stimulus.onset_to_onset_s + stimulus.pause_s / stimulus.sequence_length
        known = open_pictures(self._config.pictures, "calibration")
        count = min(len(known.names), max(40, round(settings.calibration_s / one_s / CALIBRATION_REPEATS)))
        chosen = choose_pictures(known, count, settings.seed)
        shown = plan(chosen, stimulus, repeats=CALIBRATION_REPEATS, seed=settings.seed)
        recording = self._out / "calibration.xdf"
        task = progress.add_task("calibration: pictures shown", total=len(shown.trials))
        with self._showing(shown, "calibration") as presenter:
            recorder = self._record(recording)
            try:
                presenter.say(BEGIN)
                for count in range(1, len(shown.sequences) + 1):
                    presenter.wait_for("progress", 60.0, count)
                    progress.update(task, completed=_shown(presenter))
                presenter.wait_for("finished", 60.0)
            finally:
                recorder.stop()
        progress.update(task, description="calibration: fitting the map")

        def tell(stage: str, done: int, total: int) -> None:
            progress.update(task, description=f"calibration: {stage}", completed=done, total=total)

        bundle = fit([recording], self._config, progress=tell)
        bundle.save(self._out / "bundle")
        progress.remove_task(task)
        return bundle, int(bundle.scores["n_trials"])

    def decode(self, bundle: Bundle, progress: Progress) -> Finished:
        """Show pictures that the participant has not seen, and decode them while they are shown."""
        settings = self._settings
        fresh = choose_pictures(open_pictures(self._config.pictures, "test"), settings.n_pictures, settings.seed)
        pace = {"onset_to_onset_s": settings.onset_to_onset_s, "on_s": settings.onset_to_onset_s / 2}
        stimulus = self._config.stimulus.model_copy(update=pace | {"targets_per_sequence": 0.0})
        shown = plan(fresh, stimulus, repeats=settings.repeats, seed=settings.seed + 1)
        task = progress.add_task("live: pictures decoded", total=len(shown.trials))
        with self._showing(shown, "live") as presenter:
            source = LslSource(self._config.stream, self._config.markers)
            recorder = self._record(self._out / RECORDING)
            source.watch = recorder.troubles
            begin = _Begin(presenter)
            try:
                finished = decode(
                    source,
                    self._config,
                    bundle,
                    self._out,
                    render=True,
                    live=True,
                    ended=lambda: presenter.latest("finished") is not None or not presenter.running,
                    renderer=self._renderer,
                    candidates=set(fresh),
                    window=not settings.headless,
                    beside=self._config.stimulus,
                    observe=[begin, lambda _event: progress.update(task, completed=_shown(presenter))],
                    exclusive=True,
                )
            finally:
                recorder.stop()
        progress.remove_task(task)
        return finished

    @contextmanager
    def _showing(self, shown: Plan, name: str) -> Iterator[ChildProcess]:
        """Start a presenter that waits for the word to begin."""
        path = self._out / f"{name}_plan.jsonl"
        save_plan(shown, path)
        job = PresenterJob(
            path,
            log=self._out / f"{name}_frames.jsonl",
            pictures=self._config.pictures,
            stimulus=self._config.stimulus,
            headless=self._settings.headless,
            attended=False,
            hold=True,
            name=self._config.markers.name or NAME,
        )
        presenter = start_presenter(job)
        try:
            if self._participant is not None:
                # Markers sent before the participant listens would go unanswered.
                self._showings += 1
                self._participant.wait_for("hearing", HEARING_S, self._showings)
            yield presenter
        finally:
            presenter.stop()

    def _record(self, path: Path) -> Recorder:
        recorder = Recorder(path, [Wanted(name=self._config.stream.name), Wanted(name=self._config.markers.name)])
        recorder.start()
        return recorder


class _Begin:
    """Lets the presenter begin once enough EEG has come for the filters to have settled."""

    def __init__(self, presenter: ChildProcess) -> None:
        self._presenter = presenter
        self._first: float | None = None
        self._begun = False

    def __call__(self, event: SessionEvent) -> None:
        if self._begun or not isinstance(event, Tick):
            return
        self._first = event.stamp if self._first is None else self._first
        if event.stamp - self._first > SETTLE_S:
            self._begun = True
            self._presenter.say(BEGIN)


def _shown(presenter: ChildProcess) -> int:
    latest = presenter.latest("progress")
    return 0 if latest is None else int(latest["shown"])


def sheet_entries(finished: Finished, pictures: PictureSet) -> list[SheetEntry]:
    """Return a contact sheet's entries: for each picture shown, its last percept and what was painted of it."""
    entries = []
    for name, percept in finished.result.latest().items():
        painted = finished.result.painted.get(name) == percept.trial
        frame = finished.result.pictures.get(name) if painted else None
        entries.append(
            SheetEntry(
                shown=pictures.image(name),
                reconstructed=None if frame is None else frame.image,
                nearest=[pictures.image(near.name) for near in percept.neighbours[:3]],
                label=pictures.label(name),
                guess=percept.neighbours[0].label,
                confidence=percept.confidence,
                correct=percept.neighbours[0].name == name,
            )
        )
    return entries
