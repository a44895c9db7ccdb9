"""The simulated participant as a process of its own: an LSL EEG stream that answers the pictures' markers.

Each sample is timestamped with the time at which it is due and sent in small chunks when the last of them is due, as an
amplifier would. A picture's response begins `FIRST_S` after its onset, so a marker has that long, less one chunk, to
arrive. The stream says of itself that it is simulated.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from configs.schema import MarkerSettings, PictureSettings
from realtime.electrodes import positions
from realtime.sources.base import Chunk, StreamSpec
from realtime.sources.fault_injection import MARKER_KINDS, OUTLET_KINDS, FaultSpec, faulty_spec, inject, parse_faults
from realtime.sources.metadata import SIMULATED
from realtime.sources.simulation.evoked import FIRST_S
from realtime.sources.simulation.listener import MarkerListener
from realtime.sources.simulation.outlet import Outlet
from realtime.sources.simulation.participant import Participant, SimulationSettings
from stimuli.child import ChildProcess, Report, report, run_job, start_job
from stimuli.picture_set import PictureError
from stimuli.pictures import open_pictures

if TYPE_CHECKING:
    import pylsl

    from stimuli.markers import Marker

MODULE = f"{__package__}.simulated"


@dataclass(frozen=True)
class SimulatedStream:
    """Everything that a simulated participant's process needs to know.

    Attributes
    ----------
    participant
        Who is simulated and how well they can be read.
    pictures
        Set in which the pictures named by markers are looked up.
    markers
        Which marker stream to listen to; streams may come, go and come back.
    name, source_id
        Name and source id of the EEG stream.
    chunk_size
        Samples sent at a time.
    faults
        What goes wrong on the way, as `parse_faults` reads it.
    """

    participant: SimulationSettings = field(default_factory=SimulationSettings)
    pictures: PictureSettings = field(default_factory=PictureSettings)
    markers: MarkerSettings = field(default_factory=MarkerSettings)
    name: str = "SimulatedEEG"
    source_id: str = "perceptogram-simulated-eeg"
    chunk_size: int = 5
    faults: tuple[str, ...] = ()

    @property
    def spec(self) -> StreamSpec:
        """The stream as it would be without faults."""
        return StreamSpec(self.name, "EEG", self.source_id, self.participant.rate_hz, tuple(self.participant.channels))

    def parsed_faults(self) -> tuple[FaultSpec, ...]:
        """Return the faults, each of which fits the stream.

        Raises
        ------
        ValueError
            If one cannot be understood, or is not a fault of this stream.
        """
        faults = parse_faults(",".join(self.faults))
        for fault in faults:
            if fault.kind in MARKER_KINDS:
                msg = f"fault {fault.kind!r}: the simulated participant sends no markers, but listens to them"
                raise ValueError(msg)
            if fault.channel is not None and fault.channel not in self.spec.channels:
                listed = ", ".join(self.spec.channels)
                msg = f"fault {fault.kind!r}: channel {fault.channel!r} is not in the stream: {listed}"
                raise ValueError(msg)
        return faults


def start_simulated(stream: SimulatedStream | None = None, *, timeout_s: float = 30.0) -> ChildProcess:
    """Start a simulated participant as a process of its own and return once its stream is on the network.

    The handle reports ``"hearing"`` for each marker stream found and ``"status"`` once a second; `stop` ends it.

    Raises
    ------
    stimuli.child.ChildError
        If it does not come up.
    """
    return start_job(MODULE, stream or SimulatedStream(), "streaming", timeout_s)


def run_simulated(stream: SimulatedStream, stop: threading.Event, tell: Report | None = None) -> None:
    """Publish a simulated participant's EEG until `stop` is set.

    Parameters
    ----------
    stream
        Who, what and under which name.
    stop
        Set it to end.
    tell
        Called with an event's name and its fields: ``"streaming"``, ``"hearing"``, ``"unknown"``, ``"status"``.

    Raises
    ------
    stimuli.picture_set.PictureError
        If the picture set cannot be opened.
    ValueError
        If a channel has no known position, or a fault does not fit the stream.
    """
    import pylsl

    say = tell or _say_nothing
    settings = stream.participant
    faults = stream.parsed_faults()
    participant = Participant(open_pictures(stream.pictures), settings, start=pylsl.local_clock())
    own = tuple(fault for fault in faults if fault.kind in OUTLET_KINDS)
    carried = tuple(fault for fault in faults if fault.kind not in OUTLET_KINDS)
    channels = faulty_spec(stream.spec, carried).channels
    outlet = Outlet(
        lambda source_id: _stream_info(stream, channels, source_id), stream.source_id, own, stream.chunk_size
    )
    heard: queue.SimpleQueue[Marker] = queue.SimpleQueue()

    def take_in(marker: Marker) -> None:
        if marker.picture is not None:
            try:
                participant.look_up(marker.picture)
            except PictureError as error:
                say("unknown", picture=marker.picture, text=str(error))
                return
        heard.put(marker)

    listener = MarkerListener(stream.markers, take_in, lambda name: say("hearing", stream=name))
    listener.start()
    say("streaming", name=stream.name, source_id=stream.source_id, rate_hz=settings.rate_hz, simulated=True)
    try:
        # The first sample is due now, not when the set began to open.
        participant.start = pylsl.local_clock()
        chunks = _chunks(participant, stream.chunk_size, heard, stop, say)
        for chunk in inject(chunks, carried, stream.spec, settings.seed):
            if isinstance(chunk, Chunk):
                # What a fault makes late is late.
                if carried:
                    stop.wait(max(0.0, chunk.arrived - pylsl.local_clock()))
                outlet.push(chunk)
    finally:
        stop.set()
        listener.join()


def _chunks(
    participant: Participant, size: int, heard: queue.SimpleQueue[Marker], stop: threading.Event, say: Report
) -> Iterator[Chunk]:
    """Yield each chunk when its last sample is due."""
    import pylsl

    seen = late = 0
    next_status = participant.next_timestamp + 1.0
    while not stop.is_set():
        due = participant.next_timestamp + (size - 1) / participant.settings.rate_hz
        if stop.wait(max(0.0, due - pylsl.local_clock())):
            return
        while not heard.empty():
            marker = heard.get()
            past_onset_s = participant.see(marker)
            seen += marker.picture is not None
            late += marker.picture is not None and past_onset_s > FIRST_S
        timestamps, samples = participant.take(size)
        yield Chunk(timestamps, samples, pylsl.local_clock())
        if timestamps[-1] >= next_status:
            next_status += 1.0
            say("status", pictures=seen, late=late, timestamp=float(timestamps[-1]))


def _stream_info(stream: SimulatedStream, channels: tuple[str, ...], source_id: str) -> pylsl.StreamInfo:
    """Return the stream's metadata as the XDF specification for EEG lays them out."""
    import pylsl

    settings = stream.participant
    info = pylsl.StreamInfo(stream.name, "EEG", len(channels), settings.rate_hz, pylsl.cf_float32, source_id)
    description = info.desc()
    entries = description.append_child("channels")
    for label, place in zip(channels, 1e3 * positions(channels), strict=True):
        entry = entries.append_child("channel")
        entry.append_child_value("label", label)
        entry.append_child_value("type", "EEG").append_child_value("unit", "microvolts")
        location = entry.append_child("location")
        for axis, millimetres in zip("XYZ", place, strict=True):
            location.append_child_value(axis, f"{millimetres:.2f}")
    description.append_child("reference").append_child_value("label", SIMULATED)
    cap = description.append_child("cap")
    cap.append_child_value("name", "simulated").append_child_value("labelscheme", "10-10")
    acquisition = description.append_child("acquisition")
    acquisition.append_child_value("manufacturer", "Perceptogram Live, simulated")
    acquisition.append_child_value("model", "simulated participant")
    simulation = description.append_child("simulation")
    for key in ("seed", "session", "snr"):
        simulation.append_child_value(key, f"{getattr(settings, key):g}")
    return info


def _say_nothing(event: str, **fields: Any) -> None:
    """Report to nobody."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process and return its exit code: 2 where the job cannot be done as asked."""
    return run_job(
        MODULE,
        arguments,
        lambda job, stop: run_simulated(TypeAdapter(SimulatedStream).validate_json(job), stop, report),
        about="Publish a simulated participant's EEG.",
        default="{}",
        refused=(ValueError,),
    )


if __name__ == "__main__":
    raise SystemExit(main())
