"""A BIDS data set as a calibration sees it: its recordings, and the settings that read them all alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.schema import Config, PictureSettings
from realtime.sources.bids import BidsRun, find_runs, good_channels


@dataclass(frozen=True)
class Chosen:
    """Recordings of a data set, and how to read them.

    Attributes
    ----------
    runs
        The recordings, of one task.
    config
        The settings given, with markers by ``events.tsv``, the channels that are good in all recordings, and the data
        set's own pictures, where those settings name no others.
    notices
        What people should know of the choice, one line each.
    """

    runs: tuple[BidsRun, ...]
    config: Config
    notices: tuple[str, ...]

    @property
    def paths(self) -> list[Path]:
        """The files, in order."""
        return [run.path for run in self.runs]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose EEG it is, each once."""
        return tuple(dict.fromkeys(run.subject for run in self.runs))


def choose_runs(
    root: Path,
    task: str,
    config: Config | None = None,
    subjects: Sequence[str] = (),
    sessions: Sequence[str] = (),
    picture_column: str | None = None,
) -> Chosen:
    """Return recordings of a data set with the settings that read them.

    Parameters
    ----------
    root
        The data set.
    task, subjects, sessions
        Labels; all subjects and sessions when left out.
    config
        Everything else; defaults when left out.
    picture_column
        Column of ``events.tsv`` that names the picture; that of the settings when left out.

    Raises
    ------
    SourceError
        If nothing of the kind is there, or no channel is good in all recordings.
    """
    runs = tuple(find_runs(root, task, subjects, sessions))
    config = Config() if config is None else config
    column = picture_column or config.markers.picture_column
    update: dict[str, object] = {
        "markers": config.markers.model_copy(update={"events": "bids", "picture_column": column})
    }
    if "pictures" not in config.model_fields_set:
        update["pictures"] = PictureSettings(set="bids", folder=root)
    notices = []
    if config.stream.channels is None:
        channels, told = good_channels([run.path for run in runs])
        update["stream"] = config.stream.model_copy(update={"channels": channels})
        notices += [] if told is None else [told]
    return Chosen(runs, config.model_copy(update=update), tuple(notices))
