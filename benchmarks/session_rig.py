"""A whole session seen from outside: ``perceptogram run`` with all that it starts, what it says and what it leaves.

A simulated participant streams over LSL, a marker stream shows them pictures, a broker listens. Frames have 512 pixels
(`benchmarks.enlarged`), and the display draws into SDL's dummy driver.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil
import pylsl
import yaml

from calibration.data.reading import Collector
from calibration.data.targets import make_targets
from calibration.fit import fit_trials
from configs.schema import Config, load_config
from realtime.mqtt.embedded_broker import EmbeddedBroker
from realtime.recording.latency_log import read_percepts
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import stand_in
from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import Marker
from stimuli.pictures import choose_pictures, open_pictures

EVERY_S = 0.6
FITTED_EVERY_S = 0.2
N_CALIBRATION = 200
CANDIDATES = 20
STARTING_S = 240.0
SESSION = "session"
PARTS = ("reader", "recorder", "renderer", "display", "pictures", "control")
"""The processes that a session starts and cannot do without, by the names that they give themselves."""
SHARED = Path("/dev/shm")


class Rig:
    """A participant, a calibration of theirs and a broker, for as many sessions as are wanted.

    Parameters
    ----------
    folder
        Where everything lies.
    config
        The sessions' settings, but for their names.
    """

    def __init__(self, folder: Path, config: str | Path = "demo") -> None:
        self.folder = folder
        content = load_config(config).model_dump(exclude_unset=True)
        name = f"rig-{uuid.uuid4().hex[:8]}"
        named = {"stream": content["stream"] | {"name": f"{name} EEG"}, "markers": {"name": f"{name} markers"}}
        self.config = Config.model_validate(content | named | {"name": name})
        self._stream = SimulatedStream(
            stand_in(self.config, seed=0, snr=1.0),
            self.config.pictures,
            self.config.markers,
            name=f"{name} EEG",
            source_id=f"{name}-eeg",
        )
        self._opened = ExitStack()
        self._over = threading.Event()
        self.shown: list[float] = []
        """LSL times at which pictures were shown."""

    def __enter__(self) -> Rig:
        with ExitStack() as opened:
            (self.folder / "rig.yaml").write_text(
                yaml.safe_dump(self.config.model_dump(mode="json", exclude_unset=True))
            )
            self._fit(self.folder / "bundle")
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            broker = EmbeddedBroker(self.port).start()
            opened.callback(broker.stop)
            participant = start_simulated(self._stream)
            opened.callback(participant.stop)
            shower = threading.Thread(target=self._show, name="pictures", daemon=True)
            shower.start()
            opened.callback(shower.join)
            opened.callback(self._over.set)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def session(self, name: str, out: Path | None = None, **options: Any) -> RunningSession:
        """Start ``perceptogram run`` with everything; whatever happens, it does not outlive the rig."""
        session = RunningSession(self, name, self.folder / name / "out" if out is None else out, **options)
        self._opened.callback(session.kill)
        return session

    def _fit(self, bundle: Path) -> None:
        known = open_pictures(self.config.pictures, "calibration")
        names = list(choose_pictures(known, N_CALIBRATION, seed=0))
        source = OfflineParticipant(
            known, names, FITTED_EVERY_S, self._stream.participant, self._stream.name, self._stream.source_id
        )
        collector = Collector(self.config, source.spec)
        for item in source.events():
            list(collector.push(item))
        trials = collector.take()
        # How well the map does is not what is looked at.
        fit = self.config.fit.model_copy(update={"permutations": 0, "choose": "error"})
        config = self.config.model_copy(update={"fit": fit})
        fit_trials(trials, make_targets(config, np.asarray(trials.names)), config).bundle.save(bundle)

    def _show(self) -> None:
        names = choose_pictures(open_pictures(self.config.pictures, "test"), CANDIDATES, seed=1)
        outlet = MarkerOutlet(self.config.markers.name or "", f"{self.config.name}-markers")
        for name in cycle(names):
            if self._over.wait(EVERY_S):
                break
            self.shown.append(pylsl.local_clock())
            outlet.send(Marker(self.shown[-1], "picture", name))
        outlet.close()


class RunningSession:
    """``perceptogram run`` in a session of its own, its processes by name, and what it leaves."""

    def __init__(self, rig: Rig, name: str, out: Path, seconds: float | None = None) -> None:
        self.out = out
        self.folder = rig.folder / name
        self.scratch = self.folder / "tmp"
        self.scratch.mkdir(parents=True)
        self._shared = set(_names(SHARED))
        given = ["--config", rig.folder / "rig.yaml", "--bundle", rig.folder / "bundle", "--out", out]
        given += ["--mqtt", f"mqtt://127.0.0.1:{rig.port}"] + ([] if seconds is None else ["--seconds", seconds])
        self.log = self.folder / "log.txt"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "benchmarks.enlarged", "run", *map(str, given)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ
                | {"SDL_VIDEODRIVER": "dummy", "TMPDIR": str(self.scratch), "PYTHONPATH": os.pathsep.join(sys.path)}
                # torch keeps a folder there for all programs of a user, which is none of the session's
                | {"TORCHINDUCTOR_CACHE_DIR": str(self.folder / "torch")},
            )
        self.pid = self._process.pid
        self.children: set[int] = set()

    def wait_until_it_paints(self) -> None:
        """Return once percepts come, a picture is saved and the spare processes are there.

        Raises
        ------
        RuntimeError
            If that takes too long; with what it said.
        """
        spares = {"reader-spare", "recorder-spare"}
        if not wait_for(lambda: any(self.out.glob("pictures/*.png")) and spares <= set(self.processes()), STARTING_S):
            self.kill()
            msg = f"the session does not paint:\n{self.log.read_text()}"
            raise RuntimeError(msg)

    def processes(self) -> dict[str, psutil.Process]:
        """Return the session's processes by name."""
        found = {}
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.pid)
            found[SESSION] = own
            for child in own.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    found[child.name()] = child
                    self.children.add(child.pid)
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of ``percepts.jsonl``."""
        path = self.out / "percepts.jsonl"
        return read_percepts(path) if path.exists() else []

    def notices(self, since: float = 0.0) -> list[tuple[float, str]]:
        """Return what was told since an LSL time: (LSL time, text)."""
        return [(line["stamp"], line["text"]) for line in self.records() if "notice" in line and line["stamp"] > since]

    def signal(self, number: int) -> None:
        """Send a signal to the session's process alone."""
        self._process.send_signal(number)

    def end(self, patience_s: float, *, kill: bool = True) -> tuple[int | None, float]:
        """Wait for the end; return the exit code, None where there was none in time, and the seconds it took."""
        begun = time.monotonic()
        try:
            code: int | None = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            code = None
            if kill:
                self.kill()
        return code, time.monotonic() - begun

    def kill(self) -> None:
        """End the session and everything that it started."""
        for process in self.processes().values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def left_behind(self, patience_s: float = 5.0) -> list[str]:
        """Return what is left a moment after its end: processes, shared memory, temporary files."""
        wait_for(lambda: not self._orphans(), patience_s)
        orphans = self._orphans()
        for orphan in orphans:
            orphan.kill()
        shared = sorted(name for name in set(_names(SHARED)) - self._shared if not _held(SHARED / name))
        return [*(f"process {orphan.name()}" for orphan in orphans), *shared, *_names(self.scratch)]

    def _orphans(self) -> list[psutil.Process]:
        alive = []
        for pid in self.children:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE and str(self.scratch) in process.environ().get(
                    "TMPDIR", ""
                ):
                    alive.append(process)
        return alive


def wait_for(done: Callable[[], bool], within_s: float) -> bool:
    """Return whether `done` comes true `within_s`."""
    give_up = time.monotonic() + within_s
    while not done():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def _held(file: Path) -> bool:
    """Return whether a living process has `file` mapped, or took it away: then it is none that was left behind."""
    try:
        told = file.stat()
    except FileNotFoundError:
        return True
    # By its number: glibc maps a semaphore under another name, before it gets its own.
    mapped = f" {os.major(told.st_dev):02x}:{os.minor(told.st_dev):02x} {told.st_ino} "
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            if mapped in maps.read_text():
                return True
    return not file.exists()


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []
