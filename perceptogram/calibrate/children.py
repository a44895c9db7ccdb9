"""The processes of a session that shows its own pictures: presenter and, where nobody is there, participant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from configs.errors import InputError
from configs.schema import Config
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.child import ChildError, ChildProcess
from stimuli.marker_outlet import NAME, SOURCE_ID
from stimuli.presenter import PresenterJob, start_presenter

SIMULATED = "SimulatedEEG"
STARTING_S = 120.0
"""How long a process may take to come up on a busy machine."""


class CalibrationError(InputError):
    """A calibration that cannot go on; one line says why and what is kept."""

    about = "calibration"


def for_simulation(config: Config) -> Config:
    """Return the settings with the simulated participant as the EEG stream."""
    stream = config.stream.model_copy(
        update={"name": SIMULATED, "type": "EEG", "source_id": None, "host": None, "unit": None}
    )
    return config.model_copy(update={"simulated": True, "stream": stream})


def with_own_markers(config: Config) -> Config:
    """Return the settings with the name and id of our own presenter's marker stream, where they name no other."""
    markers = config.markers
    named = {"name": markers.name or NAME, "source_id": markers.source_id or SOURCE_ID}
    return config.model_copy(update={"markers": markers.model_copy(update=named)})


@contextmanager
def showing(
    config: Config,
    plan: Path,
    log: Path,
    *,
    headless: bool,
    attended: bool = False,
    participant: SimulationSettings | None = None,
) -> Iterator[ChildProcess]:
    """Have a presenter stand ready, which shows what is left of a plan once it is told to begin.

    Parameters
    ----------
    config
        Settings of the session; the marker stream is that of `with_own_markers`.
    plan, log
        What is shown, and the frame log.
    headless
        Show the pictures to nobody.
    attended
        Whether somebody at the keyboard starts each block.
    participant
        Whom to simulate; None where a person looks.

    Raises
    ------
    CalibrationError
        If one of the two does not come up.
    """
    job = PresenterJob(
        plan,
        log=log,
        pictures=config.pictures,
        stimulus=config.stimulus,
        headless=headless,
        attended=attended,
        hold=True,
        resume=True,
        name=config.markers.name or NAME,
        source_id=config.markers.source_id or SOURCE_ID,
    )
    with ExitStack() as stack:
        try:
            looking = None
            if participant is not None:
                stream = SimulatedStream(participant, config.pictures, config.markers, name=SIMULATED)
                looking = start_simulated(stream, timeout_s=STARTING_S)
                stack.callback(looking.stop)
            presenter = start_presenter(job, timeout_s=STARTING_S)
            stack.callback(presenter.stop)
            if looking is not None:
                # Markers sent before the participant listens would go unanswered.
                looking.wait_for("hearing", STARTING_S)
        except ChildError as error:
            raise CalibrationError(str(error)) from error
        yield presenter


def shown(presenter: ChildProcess) -> int:
    """Return how many pictures have been shown, as far as the presenter has told."""
    told = presenter.latest("progress")
    return 0 if told is None else int(told["shown"])
