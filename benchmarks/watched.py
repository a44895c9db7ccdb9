"""Whether those who watch slow the EEG side down: whole sessions in turn, with nobody and with everybody watching.

Watched, a session serves its page to twenty clients that read all of it, draws the experimenter's and the participant's
window, and tells a program over Open Sound Control. Both kinds paint. What is measured: from the arrival of a window's
last sample to its embedding, and, watched, from a final picture to the screen.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import tempfile
import time
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import SHARES, percentiles, print_ratios, print_table
from benchmarks.lsl_sender import Amplifier, sending
from benchmarks.random_bundle import random_bundle
from configs.schema import Config
from perceptogram.session import Session
from realtime.recording.latency_log import read_percepts, trial_times
from realtime.rendering.embedded.generator import EmbeddedGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator


CHANNELS, RATE_HZ = 64, 250.0
EVERY_S = 0.3
TURNS, PERCEPTS = 8, 60
CLIENTS = 20
PATIENCE_S = 60.0
SCREEN_S = 20.0
"""How long a picture is waited for: where painting takes longer than from one onset to the next, none is finished."""
WATCHED, ALONE = "watched", "alone"


def measure(turns: int = TURNS, percepts: int = PERCEPTS) -> dict[str, Any]:
    """Take turns of sessions that are watched and alone, and print what each took.

    Parameters
    ----------
    turns
        Sessions of each kind.
    percepts
        Percepts of a session.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    decoded: dict[str, list[float]] = {WATCHED: [], ALONE: []}
    shown: list[float] = []
    with sending(Amplifier(CHANNELS, RATE_HZ, onset_every_s=EVERY_S)) as amplifier:
        for turn in range(turns):
            for kind in (WATCHED, ALONE) if turn % 2 else (ALONE, WATCHED):
                trials = _turn(amplifier, percepts, watched=kind == WATCHED)
                decoded[kind] += [1e3 * (t["embedding"] - t["arrived"]) for t in trials if "embedding" in t]
                if kind == WATCHED:
                    shown += _shown(trials)
    found = print_ratios(
        f"last sample here → embedding of a watched session ({CLIENTS} pages, two windows, OSC) and of one that "
        f"is not ({CHANNELS} channels, ms, {len(decoded[ALONE])} epochs each, {turns} turns)",
        "session",
        decoded,
    )
    screen = percentiles(shown) if shown else None
    taken = ("n/a",) * 4 if screen is None else tuple(f"{screen[key]:.1f}" for key in (*SHARES, "max"))
    print_table(
        f"final picture → on the (virtual) screen, watched ({len(shown)} pictures; ms)",
        ("", *SHARES, "max"),
        [("experimenter's window", *taken)],
    )
    ms, ratio = found["times"], found["ratio"]
    return {"ms": ms, "ratio": ratio, "final_picture_to_screen_ms": screen, "epochs": len(decoded[ALONE])}


def _turn(amplifier: Amplifier, percepts: int, *, watched: bool) -> list[dict[str, float]]:
    """Run one session until it has said so many percepts, and return the times of its trials."""
    with tempfile.TemporaryDirectory() as folder, _listening(CLIENTS if watched else 0) as listener:
        content: dict[str, Any] = {
            "stream": {"source_id": amplifier.tag, "timeout_s": PATIENCE_S},
            "markers": {"source_id": f"{amplifier.tag}-markers"},
            "artefacts": {"peak_to_peak_uv": None, "flat_uv": None},
        }
        if watched:
            content |= {
                "web": {"enabled": True, "port": listener.page},
                "outputs": [{"osc": f"udp://127.0.0.1:{listener.osc}"}],
                "display": {"views": ["experimenter", "participant"]},
            }
        config = Config.model_validate(content)
        bundle = random_bundle(config, amplifier.spec, EmbeddedGenerator().space)
        with Session(config, bundle, out=folder, window=watched, exclusive=True, overwrite=True) as session:
            listener.open()
            give_up = time.monotonic() + SCREEN_S
            for count, _ in enumerate(session, start=1):
                if count >= percepts and (not watched or _shown(_times(folder)) or time.monotonic() > give_up):
                    break
            session.stop(paint_left=False)
        return _times(folder)


def _times(folder: str) -> list[dict[str, float]]:
    return trial_times(read_percepts(Path(folder) / "percepts.jsonl"))


def _shown(trials: list[dict[str, float]]) -> list[float]:
    """Return how many milliseconds each final picture took to the screen, of those that came there."""
    both = [times for times in trials if "shown" in times and "final_picture" in times]
    return [1e3 * (times["shown"] - times["final_picture"]) for times in both]


class _Listener:
    """Clients of a page in a process of their own, which may know the page's port before it is served."""

    def __init__(self, pipe: Connection | None, page: int, osc: int) -> None:
        self._pipe, self.page, self.osc = pipe, page, osc

    def open(self) -> None:
        """Connect all clients, and return when they are."""
        if self._pipe is not None:
            self._pipe.send(self.page)
            if not self._pipe.poll(PATIENCE_S):
                msg = f"{CLIENTS} clients did not connect within {PATIENCE_S:g} s"
                raise TimeoutError(msg)
            self._pipe.recv()


@contextmanager
def _listening(clients: int) -> Iterator[_Listener]:
    if not clients:
        yield _Listener(None, 0, 0)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        page = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_listen, args=(theirs, clients), daemon=True)
    process.start()
    try:
        yield _Listener(ours, page, ours.recv())
    finally:
        ours.close()
        process.kill()
        process.join()


def _listen(pipe: Connection, clients: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as osc:
        osc.bind(("127.0.0.1", 0))
        pipe.send(osc.getsockname()[1])
        asyncio.run(_read(pipe, pipe.recv(), clients, osc))


async def _read(pipe: Connection, port: int, clients: int, osc: socket.socket) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    osc.setblocking(False)
    asyncio.get_running_loop().add_reader(osc, osc.recv, 1 << 16)
    pages = [await connect(f"ws://127.0.0.1:{port}/session", max_size=None, proxy=None) for _ in range(clients)]
    pipe.send("connected")

    async def drain(page: Any) -> None:
        with suppress(ConnectionClosed):  # the session has ended
            async for _ in page:
                pass

    await asyncio.gather(*(drain(page) for page in pages))
