"""A simulated person for tests and notebooks, as a recording or as a live stream; nothing of it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from configs.schema import Config
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.base import Chunk
from realtime.sources.publish import stream_info
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.pictures import choose_pictures, open_pictures

__all__ = ["participant_stream", "write_recording"]

_NAMES = ("SimulatedEEG", "PerceptogramMarkers")


def write_recording(
    path: str | Path, config: Config, pictures: Sequence[str] | int = 100, every_s: float = 0.25, seed: int = 0
) -> Path:
    """Write what a recorder would while a simulated person looks at pictures; return the file.

    Parameters
    ----------
    path
        XDF file.
    config
        Picture set, and the names of the streams.
    pictures
        What is shown, in order; or how many of the set's calibration pictures, chosen by `seed`.
    every_s
        Seconds from one picture to the next.
    seed
        Who is simulated.
    """
    known = open_pictures(config.pictures, "calibration")
    shown = choose_pictures(known, pictures, seed) if isinstance(pictures, int) else pictures
    eeg, marks = config.stream.name or _NAMES[0], config.markers.name or _NAMES[1]
    source = OfflineParticipant(open_pictures(config.pictures), shown, every_s, SimulationSettings(seed=seed), eeg)
    writer = XdfWriter(Path(path))
    writer.stream_header(1, stream_info(source.spec, eeg, source.spec.source_id).as_xml())
    writer.stream_header(
        2,
        f"<info><name>{marks}</name><type>Markers</type><channel_count>1</channel_count>"
        "<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>",
    )
    writer.clock_offset(1, 0.0, 0.0)
    for item in source.events():
        if isinstance(item, Chunk):
            writer.numbers(1, item.timestamps, item.samples)
        else:
            writer.texts(2, [item.timestamp], [[item.text()]])
    writer.close()
    return Path(path)


@contextmanager
def participant_stream(config: Config, seed: int = 0) -> Iterator[None]:
    """Let a simulated person's EEG be on the air, under the stream's name, while the context is open.

    They answer the pictures that `config`'s markers name. The same `seed` is the same person.
    """
    stream = SimulatedStream(
        SimulationSettings(seed=seed), config.pictures, config.markers, name=config.stream.name or _NAMES[0]
    )
    child = start_simulated(stream)
    try:
        yield
    finally:
        child.stop()
