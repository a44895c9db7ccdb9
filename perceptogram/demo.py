"""The whole loop on one machine: a simulated participant looks at pictures, is calibrated, and is decoded live.

Every part is the real one and runs where it would in a laboratory: the participant, the presenter, the recorder, the
LSL reader and the renderer are processes of their own that meet over the Lab Streaming Layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from configs.schema import Config
from perceptogram.calibrate.children import for_simulation, showing, shown, with_own_markers
from perceptogram.calibrate.fitting import fit_folder
from perceptogram.calibrate.folder import FILES as CALIBRATION_FILES
from perceptogram.calibrate.folder import CalibrationFolder, Size, how_many, make_plan
from perceptogram.calibrate.run import Conduct, calibrate, trials_a_minute
from perceptogram.calibrate.view import GOAL, View
from perceptogram.live.folder import FILES as SESSION_FILES
from perceptogram.live.run import Finished, decode
from perceptogram.live.streams import RECORDINGS, LiveStreams
from realtime.decoding.bundle import Bundle
from realtime.display.contact_sheet import SheetEntry
from realtime.epoching.pipeline import Settled
from realtime.rendering.worker import RenderWorker
from realtime.session import SessionEvent
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.picture_set import PictureSet
from stimuli.pictures import choose_pictures, open_pictures
from stimuli.presenter import BEGIN
from stimuli.sequence import plan, save_plan

if TYPE_CHECKING:
    from calibration.fit import Fit

FILES = (
    *CALIBRATION_FILES,
    *SESSION_FILES,
    RECORDINGS,
    "*_plan.jsonl",
    "*_frames.jsonl",
    "contact_sheet.png",
    "demo.gif",
)
"""All that a demo leaves behind."""
CALIBRATION_REPEATS = 2
"""Pictures that come again teach how much repeats may be believed."""
FEWEST_PICTURES = 40
"""However short the demo: with fewer nothing can be fitted."""


@dataclass(frozen=True)
class DemoSettings:
    """How long the demo takes and how well its participant can be read.

    Attributes
    ----------
    seed
        Seed of the participant, the pictures and their order.
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

    def participant(self, session: int) -> SimulationSettings:
        """Return who looks, with the noise of that session."""
        return SimulationSettings(seed=self.seed, session=session, snr=self.snr)


def for_demo(config: Config, settings: DemoSettings) -> Config:
    """Return the settings with the demo's participant, and with its seed for the pictures and their order."""
    stimulus = config.stimulus.model_copy(update={"seed": settings.seed})
    return with_own_markers(for_simulation(config)).model_copy(update={"stimulus": stimulus})


def calibrate_simulated(config: Config, settings: DemoSettings, out: Path, console: Console) -> Fit:
    """Calibrate the participant as ``perceptogram calibrate --simulate`` does; return what was fitted.

    Parameters
    ----------
    config
        Of `for_demo`.
    settings
        Settings of the demo.
    out
        Folder for everything that is left behind.
    console
        Where the calibration tells how it goes.
    """
    folder, stimulus = CalibrationFolder(out), config.stimulus
    n_pictures, _ = how_many(
        len(open_pictures(config.pictures, "calibration").names),
        stimulus,
        Size(repeats=CALIBRATION_REPEATS, minutes=settings.calibration_s / 60),
    )
    size = Size(pictures=max(FEWEST_PICTURES, n_pictures), repeats=CALIBRATION_REPEATS, blocks=1)
    planned = make_plan(config, size)
    save_plan(planned, folder.plan)
    conduct = Conduct(settings.headless, participant=settings.participant(session=0))
    with View(console, GOAL, trials_a_minute(planned)) as view:
        ending = calibrate(config, folder, planned, conduct, view)
        if ending.aborted:
            raise KeyboardInterrupt
        return fit_folder(config, folder, planned, ending, None, view, report=False)


def decode_simulated(
    config: Config, settings: DemoSettings, bundle: Bundle, out: Path, renderer: RenderWorker, progress: Progress
) -> Finished:
    """Show pictures that the participant has not seen, and decode them as ``perceptogram run`` does.

    Parameters
    ----------
    config
        Of `for_demo`.
    settings
        Of the demo.
    bundle
        The calibration.
    out
        Folder for everything that is left behind.
    renderer
        Paints; stays running.
    progress
        Told how many pictures have been shown.
    """
    fresh = choose_pictures(open_pictures(config.pictures, "test"), settings.n_pictures, settings.seed)
    pace = {"onset_to_onset_s": settings.onset_to_onset_s, "on_s": settings.onset_to_onset_s / 2}
    stimulus = config.stimulus.model_copy(update=pace | {"targets_per_sequence": 0.0})
    planned = plan(fresh, stimulus, repeats=settings.repeats, seed=settings.seed + 1)
    save_plan(planned, out / "live_plan.jsonl")
    task = progress.add_task("live: pictures decoded", total=len(planned.trials))
    participant = settings.participant(session=1)
    with (
        showing(
            config,
            out / "live_plan.jsonl",
            out / "live_frames.jsonl",
            headless=settings.headless,
            participant=participant,
        ) as presenter,
        LiveStreams(config, bundle, out) as streams,
    ):

        def observe(event: SessionEvent) -> None:
            if isinstance(event, Settled):
                presenter.say(BEGIN)
            progress.update(task, completed=shown(presenter))

        return decode(
            streams.source,
            streams.config,
            bundle,
            out,
            render=True,
            live=True,
            ended=lambda: presenter.latest("finished") is not None or not presenter.running,
            renderer=renderer,
            outlets=streams.outlets,
            candidates=set(fresh),
            window=not settings.headless,
            beside=config.stimulus,
            observe=[observe],
            exclusive=True,
        )


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
