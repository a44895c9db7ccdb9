"""What is lost, told and left behind when each process of a whole session is killed or stopped, and however it ends.

Each of six processes is killed (``kill -9``), one after another in one session, and stopped for eight seconds
(``kill -STOP``) in another; then sessions end by each signal, on a disk that was full for a while, and with their
folder deleted.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pylsl
import pyxdf

from benchmarks.harness import machine, print_table
from benchmarks.session_rig import PARTS, Rig, RunningSession
from perceptogram.live.streams import RECORDING

if TYPE_CHECKING:
    from numpy.typing import NDArray

STOPPED_S = 8.0
WATCHED_S = 12.0
"""How long a process's fault is watched; its trials are those shown meanwhile."""
ENDING_S = 90.0
FULL_S = 4.0
RUNNING_S = 5.0
SIZE_MB = 64
RATE_HZ = 250.0
ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "full disk", "deleted folder")


def run(quick: bool = False) -> dict[str, Any]:
    """Fill the matrix; `quick` kills each process in one session, shorter, and ends it by SIGTERM."""
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        harms = ("kill",) if quick else ("kill", "stop")
        processes = [row for harm in harms for row in _processes(rig, harm, 4.0 if quick else WATCHED_S)]
        endings = [] if quick else [_ending(rig, what) for what in ENDINGS]
    result = {"processes": processes, "endings": endings, "machine": machine()}
    _print(result)
    return result


def _processes(rig: Rig, harm: str, watched_s: float) -> list[dict[str, Any]]:
    """Harm each process in turn in one session; a display that is gone stays so, and only another session has one."""
    session = rig.session(f"processes-{harm}")
    session.wait_until_it_paints()
    harmed = [("nothing", "")] + [(name, harm) for name in PARTS]
    done = [_harm(session, name, harm, watched_s) for name, harm in harmed]
    session.signal(signal.SIGTERM)
    code, _ = session.end(ENDING_S)
    left = session.left_behind()
    losses = _Losses(rig, session)
    return [row | losses.between(row["at"], row["at"] + watched_s) for row in done] + [
        {"process": "session", "harm": "SIGTERM after all that", "exit_code": code, "left_behind": left}
        | losses.between(0.0, np.inf)
    ]


def _harm(session: RunningSession, name: str, harm: str, watched_s: float) -> dict[str, Any]:
    """Kill or stop one process and watch what the session says of it; without a `harm`, watch alone."""
    row: dict[str, Any] = {"process": name, "harm": harm, "at": pylsl.local_clock()}
    process = session.processes().get(name)
    if process is None:
        time.sleep(0.0 if harm else watched_s)
        return row | {"told": "there is none" if harm else "", "told_s": None, "back_s": None}
    process.send_signal(signal.SIGKILL if harm == "kill" else signal.SIGSTOP)
    begun, back_s, going = time.monotonic(), None, harm == "kill"
    while (now_s := time.monotonic() - begun) < watched_s:
        if not going and now_s > STOPPED_S:
            going = True
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        if back_s is None and session.processes().get(name, process).pid != process.pid:
            back_s = round(now_s, 2)
        time.sleep(0.05)
    told = session.notices(row["at"])
    return row | {
        "told": told[0][1].replace(f"{session.out}/", "") if told else "",
        "told_s": round(told[0][0] - row["at"], 2) if told else None,
        "back_s": back_s,
    }


class _Losses:
    """What of a session is in its folder, by the times at which pictures were shown."""

    def __init__(self, rig: Rig, session: RunningSession) -> None:
        self._shown = np.array(rig.shown)
        decoded = [line for line in session.records() if "neighbours" in line]
        self._onsets = np.array([line["ledger"]["onset"] for line in decoded])
        painted = [line["file"] is not None and (session.out / line["file"]).exists() for line in decoded]
        self._painted = np.array(painted, dtype=bool)
        self._eeg, self._markers = recorded(session.out / RECORDING)

    def between(self, start: float, stop: float) -> dict[str, Any]:
        """Return what is missing of what was shown, while it was recorded, from `start` to `stop` by the LSL clock."""
        first, last = self._onsets[0], self._eeg[-1] - 2.0  # the filters settle before, the last windows end after
        shown = self._shown[(self._shown >= max(start, first)) & (self._shown < min(stop, last))]
        steps = np.diff(self._eeg[(self._eeg >= start) & (self._eeg < stop)]) * RATE_HZ
        near = np.abs(self._onsets[None, :] - shown[:, None]) < 0.05
        painted = (near & self._painted[None, :]).any(axis=1)
        return {
            "shown": len(shown),
            "not_decoded": int((~near.any(axis=1)).sum()),
            "not_painted": int((near.any(axis=1) & ~painted).sum()),
            "eeg_not_recorded": int(np.round(steps[steps > 1.5] - 1).sum()),
            "markers_not_recorded": int((np.abs(self._markers[None, :] - shown[:, None]) > 0.05).all(axis=1).sum()),
        }


def recorded(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the timestamps of the EEG and of the markers in a session's recording, as pyxdf finds them."""
    streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, verbose=False)
    eeg, markers = (next(one for one in streams if one["info"]["type"] == [kind]) for kind in ("EEG", "Markers"))
    return np.asarray(eeg["time_stamps"]), np.asarray(markers["time_stamps"])


def _ending(rig: Rig, what: str) -> dict[str, Any]:
    """Start a session, let it end in one way, and look at what it leaves."""
    name = what.replace(" ", "-")
    with _disk(rig.folder / f"disk-{name}", wanted=what == "full disk") as (place, fill):
        session = rig.session(name, place / "out")
        session.wait_until_it_paints()
        time.sleep(RUNNING_S)
        session.processes()
        if what == "full disk":
            with fill(session):
                time.sleep(FULL_S)
            time.sleep(RUNNING_S)
        elif what == "deleted folder":
            shutil.rmtree(session.out)
            time.sleep(RUNNING_S)
        told = [text.replace(f"{session.out}/", "") for _, text in session.notices()]
        number = getattr(signal, what, signal.SIGINT)
        if number == signal.SIGHUP:
            os.killpg(session.pid, number)  # as a terminal does that is closed
        else:
            session.signal(number)
        code, ended_s = session.end(ENDING_S)
        left = session.left_behind()
        return {
            "ending": what,
            "exit_code": code,
            "ended_s": round(ended_s, 1),
            "told": told,
            "summary": (session.out / "summary.json").exists(),
            "finished_recording": b"</clock_offsets></info>" in (session.out / RECORDING).read_bytes()[-4096:],
            "left_behind": left,
            "traceback": "Traceback" in session.log.read_text(),
        } | _Losses(rig, session).between(0.0, np.inf)


@contextmanager
def _disk(folder: Path, *, wanted: bool) -> Iterator[tuple[Path, Callable[[RunningSession], Any]]]:
    """Yield a folder, on a small disk of its own where one is `wanted` and may be mounted, and how to fill it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "perceptogram-bench", str(folder)]
    mounted = wanted and os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield folder, filled if mounted else limited
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


@contextmanager
def filled(session: RunningSession) -> Iterator[None]:
    """Fill the session's disk to the last byte."""
    filler = session.out.parent / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def limited(session: RunningSession) -> Iterator[None]:
    """Let no process of the session write behind the first kilobyte of any file: where nothing may be mounted."""
    before = {}
    for process in session.processes().values():
        before[process.pid] = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, before[process.pid][1]))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def _print(result: dict[str, Any]) -> None:
    lost = ("not decoded", "not painted", "EEG samples not recorded", "markers not recorded")
    keys = ("not_decoded", "not_painted", "eeg_not_recorded", "markers_not_recorded")
    print_table(
        "Processes of a whole session killed, and stopped for eight seconds: what was told, what is missing",
        ("process", "", "told after s", "replaced after s", "pictures shown", *lost, "told"),
        [
            (
                row["process"],
                row["harm"],
                _cell(row.get("told_s")),
                _cell(row.get("back_s")),
                row["shown"],
                *(row[key] for key in keys),
                row.get("told") or "; ".join(row.get("left_behind", ())) or "nothing",
            )
            for row in result["processes"]
        ],
    )
    if result["endings"]:
        print_table(
            "Ends of a whole session: what was told, what is missing, what is left behind",
            (
                "end",
                "exit code",
                "s",
                "summary",
                "recording finished",
                "pictures shown",
                *lost,
                "told",
                "left behind 5 s later",
            ),
            [
                (
                    row["ending"],
                    _cell(row["exit_code"]),
                    row["ended_s"],
                    "yes" if row["summary"] else "no",
                    "yes" if row["finished_recording"] else "no",
                    row["shown"],
                    *(row[key] for key in keys),
                    "; ".join(row["told"]) or "nothing",
                    "; ".join(row["left_behind"]) or "nothing",
                )
                for row in result["endings"]
            ],
        )


def _cell(value: object) -> object:
    return "–" if value is None else value
