"""What runs inside the renderer's process: take the newest request, paint it, drop it for a newer one."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from realtime.mailbox import Mailbox
from realtime.rendering.frames import Beat, Failed, Frame, Ready, RenderRequest, note_picture
from realtime.signals import leave_to_session

if TYPE_CHECKING:
    from configs.schema import RenderSettings
    from realtime.rendering.economy import Economy
    from realtime.rendering.generator import Generator

logger = logging.getLogger(__name__)

BEAT_S = 0.25
NICENESS = 5


def paint_requests(
    settings: RenderSettings,
    make: Callable[[RenderSettings], Generator],
    requests: Mailbox,
    reports: Connection,
    after: int,
    threads: int,
) -> None:
    """Serve `requests` with a number above `after` until the process is killed or the session is gone.

    Parameters
    ----------
    settings, make
        The generator is ``make(settings)``.
    requests, reports
        The way in and the way out.
    after
        Number of the last request that is already served.
    threads
        Number of torch threads.
    """
    leave_to_session()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    try:
        economy = _prepare(settings, make, threads, reports)
        while True:
            letter = requests.wait(after, BEAT_S)
            if letter is None:
                reports.send(Beat())
                continue
            after, request = letter
            _paint(economy, after, request, requests, reports)
    except BrokenPipeError:
        logger.info("the session is gone; the renderer ends")


def _prepare(
    settings: RenderSettings, make: Callable[[RenderSettings], Generator], threads: int, reports: Connection
) -> Economy:
    try:
        import torch

        from realtime.rendering.economy import Economy

        began = time.monotonic()
        torch.set_num_threads(threads)
        generator = make(settings)
        generator.prepare()
    except Exception as error:
        reports.send(Failed(0, one_line(error)))
        raise SystemExit(1) from error
    reports.send(Ready(generator.space, time.monotonic() - began))
    return Economy(settings, generator)


def _paint(economy: Economy, number: int, request: RenderRequest, requests: Mailbox, reports: Connection) -> None:
    """Send a frame for every step of `request`, until a newer one waits."""
    from pylsl import local_clock

    ledger = dict(request.ledger)
    step = 0
    try:
        for step, image, origin in economy.paint(request):
            note_picture(ledger, step, request.steps, local_clock())
            reports.send(Frame(request.trial, step, request.steps, image, dict(ledger), number, origin))
            if step == request.steps or requests.newest(number) is not None:
                return
    except BrokenPipeError:
        raise
    except Exception as error:  # whatever a generator raises must cost one picture, not the renderer
        reports.send(Failed(number, f"trial {request.trial}: {one_line(error)}"))
        return
    reports.send(Failed(number, f"trial {request.trial}: the generator ended after {step} of {request.steps} pictures"))


def one_line(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
