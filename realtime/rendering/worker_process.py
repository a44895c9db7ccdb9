"""What runs inside the renderer's process: take the newest request, paint it, drop it for a newer one."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from realtime.processes.blas_threads import wait_passively
from realtime.processes.mailbox import Mailbox
from realtime.processes.picture_slots import SLOTS, PictureSlots
from realtime.processes.signals import leave_to_session
from realtime.processes.supervised import Connection, Reports
from realtime.processes.work_done import WorkDone
from realtime.rendering.generators.faults import is_out_of_memory, smaller, spoils_the_process
from realtime.rendering.messages import (
    Frame,
    PaintingFailed,
    Progress,
    Ready,
    RendererNotice,
    RenderRequest,
    SentFrame,
    note_picture,
)

if TYPE_CHECKING:
    from configs.schema import RenderSettings
    from realtime.rendering.generators.base import Generator
    from realtime.rendering.picture_reuse import Economy

logger = logging.getLogger(__name__)

LOOK_S = 0.25
NICENESS = 5
MAX_FAILED = 3
"""Pictures in a row that may fail before a new process is tried."""
HUNG_S = 60.0
"""Longest that one step may take before a new process is tried."""
NO_PIXELS = np.zeros((0, 0, 3), np.uint8)
REPORTS = {"word": 100, "frame": SLOTS, "progress": 1}
"""What waits for a session that does not listen."""


def paint_requests(
    pipe: Connection,
    settings: RenderSettings,
    make: Callable[[RenderSettings], Generator],
    requests: Mailbox,
    pictures: PictureSlots,
    after: int,
    threads: int,
) -> None:
    """Serve `requests` with a number above `after` until the process is killed or the session is gone.

    It ends by itself where it can paint no more, as after a fault of the GPU; the session then starts another.

    Parameters
    ----------
    pipe
        To the session.
    settings, make
        The generator is ``make(settings)``.
    requests
        What to paint.
    pictures
        Where painted pictures wait for the session.
    after
        Number of the last request that is already served.
    threads
        Number of torch threads.
    """
    leave_to_session()
    wait_passively()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    out = Reports(pipe, REPORTS, HUNG_S)
    economy = _prepare(settings, make, threads, out)
    failed = 0
    while out.heard:
        out.turn()
        letter = requests.wait(after, LOOK_S)
        if letter is None:
            continue
        after, request = letter
        failed = 0 if _paint(economy, after, request, requests, pictures, out) else failed + 1
        if failed == MAX_FAILED:
            _give_up(out, 0, f"{failed} pictures in a row could not be painted")
    logger.info("the session is gone; the renderer ends")


def _prepare(
    settings: RenderSettings, make: Callable[[RenderSettings], Generator], threads: int, out: Reports
) -> Economy:
    """Return what paints with a prepared generator; one that the memory is too small for is tried again smaller."""
    began = time.monotonic()
    first = ""
    with _progress_told(out):
        while True:
            try:
                import torch

                from realtime.rendering.picture_reuse import Economy

                torch.set_num_threads(threads)
                generator = make(settings)
                generator.prepare()
                break
            except Exception as error:
                first = first or one_line(error)
                less = smaller(settings) if is_out_of_memory(error) else None
                if less is None:
                    _give_up(out, 0, first)
            # only here, where the error has let go of what was loaded
            settings, change = less
            generator = None  # type: ignore[assignment]
            gc.collect()
            torch.cuda.empty_cache()
            out.say(RendererNotice("smaller", f"paints with {change}, because the memory is too small"))
    out.say(Ready(generator.space, time.monotonic() - began, settings))
    return Economy(settings, generator)


def _paint(
    economy: Economy, number: int, request: RenderRequest, requests: Mailbox, pictures: PictureSlots, out: Reports
) -> bool:
    """Send a frame for every step of `request`, until a newer one waits; return whether that went well."""
    from pylsl import local_clock

    ledger = dict(request.ledger)
    step = 0
    try:
        for step, image, origin in economy.paint(request):
            note_picture(ledger, step, request.steps, local_clock(), preview=request.preview)
            told = (request.trial, step, request.steps, image, dict(ledger), number, origin)
            frame, slot = Frame(*told, request.at_s, request.preview), pictures.put(image)
            out.say(frame if slot is None else SentFrame(replace(frame, image=NO_PIXELS), slot), "frame")
            out.turn()
            if step == request.steps or requests.newest(number) is not None or not out.heard:
                return True
    except Exception as error:  # whatever a generator raises must cost one picture, not the renderer
        text = f"trial {request.trial}: {one_line(error)}"
        if spoils_the_process(error):
            _give_up(out, number, text)
        out.say(PaintingFailed(number, text))
        return False
    out.say(
        PaintingFailed(number, f"trial {request.trial}: the generator ended after {step} of {request.steps} pictures")
    )
    return False


def _give_up(out: Reports, number: int, text: str) -> NoReturn:
    """Say why, and end the process."""
    out.say(PaintingFailed(number, text, fatal=True))
    out.close(1.0)
    raise SystemExit(1)


@contextmanager
def _progress_told(out: Reports) -> Iterator[None]:
    """Tell the session every second whether this process gets on."""
    over = threading.Event()

    def tell() -> None:
        work = WorkDone()
        while not over.wait(1.0):
            if work.grew():
                out.say(Progress(), "progress")
            if not out.heard:
                os._exit(1)  # the session is gone, and loading may take long

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def one_line(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
