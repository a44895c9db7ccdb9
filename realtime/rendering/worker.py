"""The renderer: a generator in a process of its own, which the session never waits for."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from configs.extras import require
from realtime.processes.mailbox import Mailbox
from realtime.processes.picture_slots import PictureSlots
from realtime.processes.started import Started
from realtime.processes.supervised import HUNG_S, Supervised
from realtime.rendering.errors import GeneratorError
from realtime.rendering.frame_queue import FrameQueue
from realtime.rendering.generators.base import Generator
from realtime.rendering.generators.make import make_generator
from realtime.rendering.messages import (
    Frame,
    Origin,
    PaintingFailed,
    Progress,
    Ready,
    RendererNotice,
    RenderRequest,
    RenderState,
    Report,
    SentFrame,
)
from realtime.rendering.worker_process import paint_requests

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from configs.schema import RenderSettings
    from realtime.spaces import EmbeddingSpace

logger = logging.getLogger(__name__)

CAPACITY = 1 << 18
"""Bytes of the largest request."""
SILENT_S = 1.0
"""Seconds of silence of a working renderer after which the state says so."""
IDLE_S = 120.0
"""Seconds that a renderer that starts may neither compute, read nor write before it is started anew."""
QUIET_S = 5.0
"""Seconds that a renderer that starts may neither compute, read nor write before the state says so."""
MAX_FAILED_STARTS = 3
MAX_DEATHS_OF_A_REQUEST = 2


class RenderWorker(FrameQueue, Started):
    """Paints the newest request and starts again by itself when its process dies.

    The request in the mailbox outlives the process that was painting it, so a restarted renderer paints it again.

    Parameters
    ----------
    settings
        Which generator, and its weights.
    make
        Returns the generator for `settings`; called in the renderer's process, hence a function at module level.
    threads
        Torch threads; by default half of the cores, so that the EEG side is never starved.
    """

    def __init__(
        self,
        settings: RenderSettings,
        make: Callable[[RenderSettings], Generator] = make_generator,
        threads: int | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._make = make
        self._threads = max(1, (os.cpu_count() or 1) // 2) if threads is None else threads
        self._requests = Mailbox(CAPACITY)
        self._pictures = PictureSlots(3 * settings.pixels**2)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._process: Supervised | None = None
        self._space: EmbeddingSpace | None = None
        self._kind = "loading"
        self._text = "not started"
        self._since = self._progressed = time.monotonic()
        self._submitted = self._served = 0
        self._restarts = 0
        self._prepare_s: float | None = None

    def start(self) -> Self:
        """Start the renderer's process and return at once; `wait_ready` waits until it can paint.

        Raises
        ------
        GeneratorError
            If it was started before.
        ExtraMissingError
            If what paints is not installed.
        """
        require("gpu", "painting")
        if self._supervisor is not None:
            msg = "this renderer was already started; make a new one"
            raise GeneratorError(msg)
        self._become("loading", f"loading the {self._settings.generator} generator")
        self._supervisor = threading.Thread(target=self._supervise, name="renderer", daemon=True)
        self._supervisor.start()
        return self

    def submit(self, request: RenderRequest) -> int:
        """Leave `request` for the renderer and return its number at once; it replaces any request still waiting.

        Raises
        ------
        ValueError
            If its embedding is of another size than the generator's.
        """
        if self._space is not None:
            request.check_for(self._space)
        self._submitted = self._requests.put(request)
        return self._submitted

    def wait_ready(self, patience_s: float) -> EmbeddingSpace:
        """Wait until the generator is prepared and return the space of its embeddings.

        However long it takes, as a cold compilation or a download of gigabytes does: patience ends only with a renderer
        that neither computed, read nor wrote for `patience_s`.

        Raises
        ------
        GeneratorError
            If it could not be prepared, or does nothing.
        """
        with self._changed:
            while self._kind == "loading" and (left_s := patience_s - self._idle_s) > 0:
                self._changed.wait(left_s)
            if self._kind == "ready" and self._space is not None:
                return self._space
            why = self._text if self._kind == "dead" else f"it has done nothing for {patience_s:g} s ({self._text})"
        msg = f"the renderer cannot paint: {why}"
        raise GeneratorError(msg)

    @property
    def space(self) -> EmbeddingSpace | None:
        """Which embeddings the generator wants; None until it is prepared."""
        return self._space

    @property
    def settings(self) -> RenderSettings:
        """What is painted with: less than was asked for where the memory was too small."""
        return self._settings

    @property
    def restarts(self) -> int:
        """How often the process died and was started again."""
        return self._restarts

    @property
    def pid(self) -> int | None:
        """Id of the renderer's process; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    @property
    def heartbeat_age_s(self) -> float:
        """Seconds since the last sign of life."""
        process = self._process
        return time.monotonic() - self._since if process is None else process.silent_for_s

    @property
    def state(self) -> RenderState:
        """How the renderer is, and one line about it."""
        kind, text, age = self._kind, self._text, self.heartbeat_age_s
        if kind == "loading":
            usual = "" if self._prepare_s is None else f" of about {self._prepare_s:.0f}"
            idle = f", nothing done for {self._idle_s:.0f} s" if self._idle_s > QUIET_S else ""
            return RenderState("loading", f"{text} ({time.monotonic() - self._since:.0f}{usual} s{idle})")
        if kind == "dead":
            return RenderState("dead", text)
        silent = f"no sign of life for {age:.1f} s" if age > SILENT_S else ""
        if self._served < self._submitted:
            return RenderState("busy", silent or text)
        return RenderState("ready", silent or text)

    def pause(self) -> None:
        """Freeze the renderer's process; requests can still be left."""
        process = self._process
        if process is not None:
            process.pause()

    def resume(self) -> None:
        """Let a frozen process go on."""
        process = self._process
        if process is not None:
            process.resume()

    def stop(self) -> None:
        """End the renderer; frames that already came can still be fetched. Safe to call twice."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.kill()  # it holds nothing worth keeping, and a frozen one would not hear anything gentler
        if self._supervisor is not None:
            self._supervisor.join()
        self._become("dead", "stopped")

    @property
    def _idle_s(self) -> float:
        """Seconds since a renderer that starts did anything."""
        return time.monotonic() - self._progressed

    def _become(self, kind: str, text: str) -> None:
        with self._changed:
            self._kind, self._text, self._since = kind, text, time.monotonic()
            self._changed.notify_all()

    def _supervise(self) -> None:
        """Keep a process running until stopped, or until it fails to start too often."""
        failed_starts = deaths = 0
        suspect = 0
        while not self._stopping.is_set():
            prepared, fault, trouble = self._run_once()
            if self._stopping.is_set():
                return
            why = fault or trouble
            trouble = f"died ({fault})" if fault else trouble
            failed_starts = 0 if prepared else failed_starts + 1
            if failed_starts == MAX_FAILED_STARTS:
                logger.error("the renderer failed to start %d times: %s", failed_starts, why)
                self._become("dead", f"cannot start: {why}")
                self._tell(RendererNotice("lost", f"cannot start: {why}; nothing is painted any more"))
                return
            if prepared and self._served < self._submitted:
                deaths = deaths + 1 if suspect == self._submitted else 1
                suspect = self._submitted
                if deaths == MAX_DEATHS_OF_A_REQUEST:
                    logger.error("request %d killed the renderer %d times and is given up", suspect, deaths)
                    self._served = suspect
                    self._tell(
                        RendererNotice(
                            "failed", f"a picture is given up: over it the renderer died {deaths} times", suspect
                        )
                    )
            self._restarts += 1
            logger.warning("the renderer %s; starting it again", trouble)
            self._tell(RendererNotice("lost", f"{trouble}; starting it again"))
            self._become("loading", f"{trouble}, loading again")
            self._stopping.wait(max(0, failed_starts - 1))

    def _run_once(self) -> tuple[bool, str, str]:
        """Run one process to its end; return whether it was ever ready, what it said was wrong, and what was seen."""
        arguments = (self._settings, self._make, self._requests, self._pictures, self._served, self._threads)
        process = Supervised("renderer", paint_requests, arguments, IDLE_S, IDLE_S)
        prepared, fault = False, ""
        self._progressed = time.monotonic()

        def take(report: Report) -> None:
            nonlocal prepared, fault
            if isinstance(report, Ready):
                prepared, process.hung_s = True, HUNG_S
            elif isinstance(report, PaintingFailed) and (report.fatal or not prepared):
                fault = report.text
            self._take(report)

        def over() -> bool:
            return self._stopping.is_set() or (not prepared and self._idle_s > IDLE_S)

        self._process = process
        try:
            trouble = process.listen(take, over) or f"it has done nothing for {self._idle_s:.0f} s"
        finally:
            self._process = None
            process.close()
        return prepared, fault, trouble

    def _take(self, report: Report) -> None:
        match report:
            case Progress():
                self._progressed = time.monotonic()
            case Ready(space, prepare_s, settings):
                again = self._prepare_s is not None
                self._space, self._prepare_s, self._settings = space, prepare_s, settings
                self._become("ready", f"{settings.generator} generator ready (loaded in {prepare_s:.1f} s)")
                if again:
                    self._tell(RendererNotice("restarted", "paints again"))
            case RendererNotice():
                logger.warning("the renderer %s", report.text)
                self._progressed = time.monotonic()
                self._tell(report)
            case PaintingFailed(request, text, fatal):
                logger.error("rendering failed: %s", text)
                if request and not fatal:
                    self._text = f"failed: {text}"
                    self._served = max(self._served, request)
                    self._tell(RendererNotice("failed", text, request))
            case SentFrame(frame, slot):
                self._take_frame(frame, self._pictures.fetch(slot))
            case Frame():
                self._take_frame(report, report.image)

    def _take_frame(self, sent: Frame, image: NDArray[np.uint8] | None) -> None:
        """Note that `sent` was painted, and hand it out unless its pixels are lost."""
        text = f"trial {sent.trial}: step {sent.step} of {sent.of}"
        self._text = text if sent.origin == Origin() else f"{text}, {sent.origin}"
        if sent.complete:
            self._served = max(self._served, sent.request)
        if image is not None:
            self._hand_out(replace(sent, image=image))
