"""Eight sessions share three renderers through one broker: run with simulated participants, at reduced size.

Real: mosquitto on loopback, `perceptogram worker` processes, sessions in processes of their own with their time axis,
filters, epochs, map, evidence and remote renderer. Reduced: 16 channels at 125 Hz, a picture every two seconds, the
generator that ships in one step on one thread, and no LSL: each participant's EEG is simulated beforehand and handed
over at its own pace. What the broker carries is counted by one more subscriber.
"""

from __future__ import annotations

import multiprocessing
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import machine, percentiles, print_table, versions
from configs.errors import InputError
from configs.schema import Config, ControlSettings, load_config
from realtime.decoding.bundle import load_bundle
from realtime.rendering.messages import Frame
from realtime.rendering.remote.renderer import RemoteRenderer
from realtime.session import Decoded, Session
from realtime.sources.base import WOKEN, Chunk, Marker, Notice
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.pictures import choose_pictures, open_pictures

ROOMS = 8
WORKERS = (3, 1)
RATE_HZ = 125.0
EVERY_S = 2.0
CHANNELS = (
    "Fz", "Cz", "Pz", "Oz", "O1", "O2", "PO3", "PO4", "PO7", "PO8", "P3", "P4", "P7", "P8", "C3", "C4",
)  # fmt: skip
N_CALIBRATION = 150
READY_S = 300.0


def run(quick: bool = False, rooms: int = ROOMS) -> dict[str, Any]:
    """Run the rooms for a minute (quick: 12 s) beside three workers, and again beside one."""
    seconds = 12.0 if quick else 60.0
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        _calibrate(_config(), bundle)
        rows = [_measure(Path(folder), bundle, rooms, workers, seconds) for workers in WORKERS]
    result = {
        "rooms": rooms,
        "every_s": EVERY_S,
        "seconds": seconds,
        "request_to_picture_p50_ms": rows[0]["request_to_picture_ms"]["p50"],
        "request_to_picture_p99_ms": rows[0]["request_to_picture_ms"]["p99"],
        "versions": versions("aiomqtt", "paho-mqtt"),
        "machine": machine(),
        "rows": rows,
    }
    print_table(
        f"{rooms} sessions with simulated participants, a picture every {EVERY_S:g} s each, for {seconds:g} s, "
        f"on {result['machine']['cores']} cores",
        (
            "workers",
            "asked",
            "painted",
            "abandoned",
            "request → picture p50 ms",
            "p99",
            "messages/s",
            "kB/s",
            "broker: core",
            "workers: core s a picture",
        ),
        [
            (
                row["workers"],
                row["asked"],
                row["painted"],
                row["abandoned"],
                *(row["request_to_picture_ms"][key] for key in ("p50", "p99")),
                row["messages_s"],
                row["kilobytes_s"],
                row["broker_core"],
                row["worker_core_s_a_picture"],
            )
            for row in rows
        ],
    )
    print_table(
        "what the broker carried (with three workers)",
        ("kind", "messages/s", "bytes a message"),
        [(kind, *values) for kind, values in rows[0]["by_kind"].items()],
    )
    return result


def _config() -> Config:
    config = load_config("demo")
    return config.model_copy(
        update={
            "filters": config.filters.model_copy(update={"rate_hz": None}),
            "render": config.render.model_copy(update={"steps": 1}),
            # How well the map does is not what is measured.
            "fit": config.fit.model_copy(update={"permutations": 0, "choose": "error"}),
        }
    )


def _person(session: int) -> SimulationSettings:
    return SimulationSettings(seed=0, session=session, rate_hz=RATE_HZ, channels=CHANNELS)


def _calibrate(config: Config, folder: Path) -> None:
    """Fit the map that all rooms use: they are one simulated person on different days."""
    from calibration.data.reading import Collector
    from calibration.data.targets import make_targets
    from calibration.fit import fit_trials

    known = open_pictures(config.pictures, "calibration")
    shown = choose_pictures(known, N_CALIBRATION, seed=0)
    source = OfflineParticipant(known, [*shown, *shown], 0.4, _person(0))
    collector = Collector(config, source.spec)
    for item in source.events():
        list(collector.push(item))
    trials = collector.take()
    fit_trials(trials, make_targets(config, np.asarray(trials.names)), config).bundle.save(folder)


def _measure(folder: Path, bundle: Path, rooms: int, workers: int, seconds: float) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        url, broker = stack.enter_context(mosquitto(folder))
        painters = [stack.enter_context(_worker(url)) for _ in range(workers)]
        talks: list[Connection] = []
        for room in range(rooms):
            ours, theirs = context.Pipe()
            process = context.Process(target=_room, args=(theirs, bundle, url, room, workers, seconds))
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(process.kill)
            talks.append(ours)
        for talk in talks:
            _hear(talk, READY_S)
        used = [_core_s(one) for one in (broker, *painters)]
        with _listening(url) as heard:
            begun = time.monotonic()
            for talk in talks:
                talk.send("go")
            told = [_hear(talk, seconds + READY_S) for talk in talks]
            took_s = time.monotonic() - begun
        spent = [_core_s(one) - before for one, before in zip((broker, *painters), used, strict=True)]
    delays = np.concatenate([one["ms"] for one in told])
    painted = len(delays)
    count, size = heard
    return {
        "workers": workers,
        "asked": sum(one["asked"] for one in told),
        "painted": painted,
        "abandoned": sum(one["abandoned"] for one in told),
        "handed_over": sum(one["handed_over"] for one in told),
        "request_to_picture_ms": percentiles(delays, 1),
        "messages_s": round(count.total() / took_s, 1),
        "kilobytes_s": round(size.total() / took_s / 1e3, 1),
        "by_kind": {
            kind: [round(number / took_s, 2), round(size[kind] / number)] for kind, number in sorted(count.items())
        },
        "broker_core": round(spent[0] / took_s, 4),
        "worker_core_s_a_picture": round(sum(spent[1:]) / max(1, painted), 3),
        "seconds": round(took_s, 1),
    }


def _hear(talk: Connection, timeout_s: float) -> Any:
    if not talk.poll(timeout_s):
        msg = f"a room said nothing for {timeout_s:g} s"
        raise RuntimeError(msg)
    try:
        return talk.recv()
    except EOFError:
        msg = "a room ended before its time; its own error stands above"
        raise RuntimeError(msg) from None


class _Paced:
    """A simulated participant whose samples come when they are due, by the LSL clock."""

    def __init__(self, source: OfflineParticipant) -> None:
        self._source, self.spec = source, source.spec
        self._stirred = threading.Event()

    def wake(self) -> None:
        self._stirred.set()

    def events(self) -> Iterator[Chunk | Marker | Notice]:
        import pylsl

        begun = pylsl.local_clock()
        for item in self._source.events():
            if isinstance(item, Marker):
                yield replace(item, timestamp=item.timestamp + begun)
                continue
            timestamps = item.timestamps + begun
            while self._stirred.wait(max(0.0, float(timestamps[-1]) - pylsl.local_clock())):
                self._stirred.clear()
                yield WOKEN
            yield Chunk(timestamps, item.samples, pylsl.local_clock())

    def close(self) -> None:
        self._source.close()


def _room(talk: Connection, folder: Path, url: str, room: int, workers: int, seconds: float) -> None:
    """Be one session: decode as the participant looks, have every percept painted elsewhere."""
    import pylsl

    config, bundle = _config(), load_bundle(folder)
    pictures = open_pictures(config.pictures, "test")
    names = choose_pictures(pictures, max(1, round((seconds - 4.0) / EVERY_S)), seed=room)
    source = _Paced(OfflineParticipant(pictures, names, EVERY_S, _person(room + 1)))
    asked, delays = 0, []
    with RemoteRenderer(config.render, ControlSettings(url=url), f"room-{room}", bundle.space) as renderer:
        renderer.wait_ready(READY_S)
        patience = time.monotonic() + READY_S
        while len(renderer.workers) < workers and time.monotonic() < patience:
            time.sleep(0.1)
        talk.send("ready")
        talk.recv()
        # Rooms do not look in step.
        threading.Event().wait(EVERY_S * room / ROOMS)
        for event in Session(config, bundle, source, renderer, pylsl.local_clock).run():
            if isinstance(event, Decoded):
                asked += 1
            elif isinstance(event, Frame) and event.final:
                delays.append(1e3 * (event.ledger["final_picture"] - event.ledger["requested"]))
        told = {"ms": delays, "asked": asked, "abandoned": renderer.dropped, "handed_over": renderer.restarts}
    talk.send(told)


@contextmanager
def mosquitto(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run a mosquitto of our own on a free loopback port.

    Raises
    ------
    InputError
        If it is not installed, or does not listen.
    """
    program = broker_program()
    if program is None:
        msg = "mosquitto is not installed: apt-get install mosquitto"
        raise InputError(msg)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = folder / "mosquitto.conf"
    told.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n")
    with subprocess.Popen([program, "-c", str(told)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20.0
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    msg = f"mosquitto does not listen on port {port} (exit code {process.returncode})"
                    raise InputError(msg)
                time.sleep(0.02)
            yield f"mqtt://127.0.0.1:{port}", psutil.Process(process.pid)
        finally:
            process.kill()


def broker_program() -> str | None:
    """Return where mosquitto is, which is often outside a user's path; None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _worker(url: str) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "perceptogram", "worker", "--broker", url, "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def _listening(url: str) -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Count messages and bytes by kind while the block runs."""
    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    ready = threading.Event()

    def heard(_client: Any, _data: Any, message: Any) -> None:
        parts = message.topic.split("/")
        kind = "worker state" if "workers" in parts and parts[-1] == "state" else parts[-1]
        kind = {"cmd": "request", "frame": "picture"}.get(kind, kind)
        count[kind] += 1
        size[kind] += len(message.payload)

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = heard
    client.on_subscribe = lambda *_: ready.set()
    host, port = url.removeprefix("mqtt://").split(":")
    client.connect(host, int(port))
    client.subscribe("perceptogram/#")
    client.loop_start()
    ready.wait(10.0)
    try:
        yield count, size
    finally:
        client.disconnect()
        client.loop_stop()


def _core_s(process: psutil.Process) -> float:
    """Return the seconds of processor time that a process and those below it have used."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


if __name__ == "__main__":
    run()
