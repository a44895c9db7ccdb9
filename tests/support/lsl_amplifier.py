"""An amplifier for tests: LSL outlets in a process that can be killed, stopped and started again."""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass, field

CHANNELS = ("Fz", "Cz", "Pz", "Trigger")


@dataclass
class Amplifier:
    """Sends samples whose first channel counts, ten times faster than markers ``"0"``, ``"1"``, ..."""

    name: str
    source_id: str = ""
    rate_hz: float = 250.0
    format: str = "float32"
    unit: str = "microvolts"
    channels: tuple[str, ...] = CHANNELS
    gain: float = 1
    marker_s: float | None = 0.1
    first: int = 0
    _process: multiprocessing.Process = field(init=False, repr=False)

    def start(self):
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        settings = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        self._process = context.Process(target=_send, args=(ready, settings), daemon=True)
        self._process.start()
        assert ready.wait(30), "the amplifier did not start"
        return self

    def kill(self):
        self._process.kill()
        self._process.join()

    def pause(self):
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self._process.pid, signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


def eeg_info(name, source_id, rate_hz, format_, unit, channels, type_="EEG"):
    import pylsl

    info = pylsl.StreamInfo(name, type_, len(channels), rate_hz, format_, source_id)
    listed = info.desc().append_child("channels")
    for label in channels:
        channel = listed.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("type", "TRIG" if label == "Trigger" else "EEG")
        if unit and label != "Trigger":
            channel.append_child_value("unit", unit)
    return info


def _send(ready, settings):
    import pylsl

    name, source_id, rate_hz = settings["name"], settings["source_id"], settings["rate_hz"]
    channels, gain, number = settings["channels"], settings["gain"], settings["first"]
    info = eeg_info(name, source_id, rate_hz, settings["format"], settings["unit"], channels)
    outlet = pylsl.StreamOutlet(info)
    markers = None
    if settings["marker_s"] is not None:
        marker_id = source_id and f"{source_id}-markers"
        markers = pylsl.StreamOutlet(pylsl.StreamInfo(f"{name}-markers", "Markers", 1, 0, "string", marker_id))
    ready.set()
    begun, every = pylsl.local_clock() - number / rate_hz, None
    if markers is not None:
        every = round(settings["marker_s"] * rate_hz)
    while True:
        timestamp = begun + number / rate_hz
        time.sleep(max(0.0, timestamp - pylsl.local_clock()))
        outlet.push_sample([number * gain] + [0] * (len(channels) - 1), timestamp)
        if every and number % every == 0:
            markers.push_sample([str(number)], timestamp)
        number += 1
