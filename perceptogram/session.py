"""The face for scripts: a live session as ``async with``, or as a plain loop.

    async with perceptogram.Session("lab.yaml", "bundle", show_pictures=True) as session:
        percept = await session.show("cat-1015")

    with perceptogram.Session("lab.yaml", "bundle") as session:
        for percept in session:
            print(percept.neighbours[0].label)

The session decodes in a thread of its own, so nothing that a script does holds up the EEG. The script's process stays
as it was: its threads, priorities, garbage collector and environment are its own, unless ``exclusive=True`` asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import AsyncIterator, Collection, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from calibration.data.mne_epochs import as_epochs
from configs.output_folder import claim
from configs.schema import Config, load_config, with_broker
from perceptogram.epochs import KeptEpochs
from perceptogram.live.folder import FILES
from perceptogram.live.listening import Listeners
from perceptogram.live.run import decode
from perceptogram.live.streams import RECORDINGS, LiveStreams
from realtime import session as live
from realtime.decoding.bundle import Bundle, load_bundle
from realtime.decoding.evidence import Percept
from realtime.epoching.epochs import Refused, Retracted
from realtime.epoching.pipeline import Settled
from realtime.rendering.messages import Frame
from stimuli.pictures import choose_pictures, open_pictures

if TYPE_CHECKING:
    import mne

__all__ = ["Session", "choose_pictures", "load_bundle", "load_config", "open_pictures"]

WAITING: dict[type, int] = {Percept: 1000, Frame: 64}
"""How many percepts and pictures wait for a script that does not keep up; older ones are dropped."""
SHOW_PATIENCE_S = 30.0
"""Seconds that `Session.show` waits for the window of what was shown."""


class Session:
    """A live session that a script listens to and steers.

    Parameters
    ----------
    config
        Settings, or a YAML file or preset.
    bundle
        The calibration, or its folder.
    out
        Folder for percepts, pictures, summary and recording; None keeps nothing.
    overwrite
        Replace what an earlier session left in that folder.
    show_pictures
        Open a stimulus window of the session's own, for `show`.
    headless
        Show those pictures to nobody.
    window
        Open the display.
    render
        Paint pictures.
    candidates
        Pictures that can be the answer; the bundle's whole gallery when left out.
    mqtt
        Broker for other programs; the config's own when left out.
    exclusive
        Let the session have the process to itself, as `perceptogram run` does, until it ends: linear algebra of the
        whole process on one thread, quicker changes between Python threads, a frozen garbage collector, and real-time
        priority for the session's thread. For scripts that compute beside a session on few cores; see docs/sessions.md.
    keep_epochs
        Keep every decoded window on the disk for `epochs`: 25 kB each for 64 channels and 100 samples.

    Attributes
    ----------
    config, bundle
        As they were loaded.
    summary
        The scores, once the session is closed.

    Raises
    ------
    configs.errors.InputError
        On entering, if the streams, the bundle or the generator cannot be used; one line says why.

    Examples
    --------
    With an amplifier (or ``perceptogram simulate``) and a bundle, in a file that is run::

        with perceptogram.Session("lab.yaml", "bundle", show_pictures=True) as session:
            percept = session.show_and_wait("cat-1015")

    What cannot work is refused before anything is opened:

    >>> Session("demo", bundle="nowhere")
    Traceback (most recent call last):
        ...
    realtime.decoding.bundle.BundleError: no bundle in nowhere: bundle.json is missing; make one with ...
    """

    def __init__(
        self,
        config: Config | str | Path,
        bundle: Bundle | str | Path,
        *,
        out: str | Path | None = None,
        overwrite: bool = False,
        show_pictures: bool = False,
        headless: bool = False,
        window: bool = False,
        render: bool = True,
        candidates: Collection[str] | None = None,
        mqtt: str | None = None,
        exclusive: bool = False,
        keep_epochs: bool = False,
    ) -> None:
        loaded = config if isinstance(config, Config) else load_config(config)
        self.config = loaded if mqtt is None else with_broker(loaded, mqtt)
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.bundle.check_runs()
        self.summary: dict[str, Any] = {}
        self._out = None if out is None else Path(out)
        self._overwrite = overwrite
        self._window = window
        self._render = render
        self._candidates = None if candidates is None else set(candidates)
        self._show_pictures, self._headless = show_pictures, headless
        self._exclusive = exclusive
        self._kept = KeptEpochs() if keep_epochs else None
        self._streams = LiveStreams(self.config, self.bundle, self._out, show_pictures=show_pictures, headless=headless)
        self._lock = threading.Lock()
        self._listeners = Listeners(WAITING)
        self._asked: dict[int, Future[Percept | None]] = {}
        self._ready: Future[live.Session] = Future()
        self._thread = threading.Thread(target=self._decode, name="session", daemon=True)
        self._error: BaseException | None = None
        self._settled = threading.Event()
        self._over = False
        self._paint_left = True

    def __enter__(self) -> Session:
        if self._out is not None:
            claim(self._out, "run", (*FILES, RECORDINGS), overwrite=self._overwrite)
        self._streams.__enter__()
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._thread.join()
            self._streams.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(paint_left=self._paint_left and error is None)
        self._thread.join()
        self._streams.__exit__(None, None, None)
        if self._error is not None and error is None:
            raise self._error

    async def __aenter__(self) -> Session:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def __iter__(self) -> Iterator[Percept]:
        """Return each percept from now on, until the session ends: for scripts without asyncio.

        Those before a window's end (`evidence.answer_at_s`) say of which time they are, `at_s`; the last of a trial is
        the one that `show` returns.

        The newest `WAITING` wait for a loop that does not keep up; a loop that ends early is forgotten.
        """
        return self._listeners.plain(Percept)

    def percepts(self) -> AsyncIterator[Percept]:
        """Return each percept from now on, until the session ends; waiting as in a plain loop."""
        return self._listeners.awaited(Percept)

    def frames(self) -> AsyncIterator[Frame]:
        """Return each picture as it is painted from now on, previews and final ones, until the session ends."""
        return self._listeners.awaited(Frame)

    async def show(self, picture: str) -> Percept | None:
        """Show a picture, once the filters have settled, and return what was decoded from it, all repeats together.

        Returns
        -------
        None where its window had to be refused (lost samples, a paused session): show it again.

        Raises
        ------
        ValueError
            If the session has no stimulus window, or the set no such picture.
        TimeoutError
            If no window comes of it.
        """
        return await asyncio.to_thread(self.show_and_wait, picture)

    def show_and_wait(self, picture: str) -> Percept | None:
        """Show a picture and return what was decoded from it, as `show` does, for scripts without asyncio.

        Returns
        -------
        All repeats together; None where its window had to be refused (lost samples, a paused session): show it again.

        Raises
        ------
        ValueError
            If the session has no stimulus window or has ended, or the set has no such picture.
        TimeoutError
            If no window comes of it.
        """
        self._settled.wait(SHOW_PATIENCE_S)
        seen: Future[Percept | None] = Future()
        with self._lock:
            demand = self._streams.show(picture)
            self._asked[demand] = seen
        if self._over:
            msg = f"cannot show {picture!r}: the session has ended"
            raise ValueError(msg)
        try:
            return seen.result(SHOW_PATIENCE_S)
        except TimeoutError as error:
            msg = f"{picture!r} gave no window in {SHOW_PATIENCE_S:g} s: do the EEG and the markers run?"
            raise TimeoutError(msg) from error
        finally:
            self._asked.pop(demand, None)

    def likeness(self, percept: Percept, picture: str) -> float:
        """Return how much what was decoded is like a picture: 1 the same, 0 no more than any two pictures.

        Raises
        ------
        ValueError
            If the picture is not in the bundle's gallery.
        """
        return float(self.bundle.candidates.only({picture}).similarities(percept.compared)[0])

    def epochs(self) -> mne.EpochsArray:
        """Return the windows decoded so far as `perceptogram.read_epochs` returns those of recordings.

        Also after the session. Windows that turned out wrong, or were decided before their end, are not among them.

        Raises
        ------
        ValueError
            If the session was not told to keep them.
        configs.errors.InputError
            If there is none yet.
        """
        if self._kept is None:
            msg = "this session keeps no epochs: start it with keep_epochs=True"
            raise ValueError(msg)
        stream = self.config.stream.model_copy(update={"channels": self.bundle.spec.channels})
        config = self.bundle.completed(self._streams.config).model_copy(update={"stream": stream})
        return as_epochs(self._kept.trials(self.bundle, config.simulated), config)

    async def settled(self) -> None:
        """Wait until the filters have settled; a picture that another program shows before gets no window."""
        await asyncio.to_thread(self._settled.wait)

    async def pause(self) -> None:
        """Refuse all windows until `resume`."""
        self._ready.result().paused = True

    async def resume(self) -> None:
        """Go on after `pause`."""
        self._ready.result().paused = False

    def stop(self, *, paint_left: bool = True) -> None:
        """End the session; what is still being painted is finished.

        Parameters
        ----------
        paint_left
            Paint then each picture's last percept that had no time to be painted before, which can take minutes. It is
            left where the ``with`` block ends with an error, as on Ctrl-C.
        """
        self._paint_left = paint_left
        self._streams.source.close()

    def _hear(self, event: live.SessionEvent) -> None:
        """Pass on one event of the session; called in its thread."""
        match event:
            case Settled():
                self._settled.set()
            case live.Answered(percept):
                self._listeners.tell(percept)
            case live.Decoded(percept):
                self._listeners.tell(percept)
                if self._kept is not None and percept.at_s is None:
                    self._kept.add(event.epoch, percept.picture or event.epoch.marker.kind)
                self._answer(event.epoch.marker.extra.get("demand"), percept)
            case Refused(_, marker):
                self._answer(marker.extra.get("demand"), None)
            case Retracted(trial):
                if self._kept is not None:
                    self._kept.drop(trial)
            case Frame():
                self._listeners.tell(event)

    def _answer(self, demand: object, percept: Percept | None) -> None:
        with self._lock:
            seen = self._asked.get(demand) if isinstance(demand, int) else None
        if seen is not None and not seen.done():
            seen.set_result(percept)

    def _decode(self) -> None:
        try:
            with contextlib.ExitStack() as opened:
                out = self._out
                if out is None:
                    out = Path(opened.enter_context(tempfile.TemporaryDirectory()))
                finished = decode(
                    self._streams.source,
                    self._streams.config,
                    self.bundle,
                    out,
                    render=self._render,
                    live=True,
                    begin=self._ready.set_result,
                    outlets=self._streams.outlets,
                    show=self._streams.show if self._show_pictures else None,
                    mark=self._streams.mark,
                    candidates=self._candidates,
                    window=self._window,
                    beside=self.config.stimulus if self._show_pictures and not self._headless else None,
                    observe=[self._hear],
                    exclusive=self._exclusive,
                    paint_left=lambda: self._paint_left,
                )
                self.summary = finished.summary
        except BaseException as error:  # the script's thread raises it
            if not self._ready.done():
                self._ready.set_exception(error)
            else:
                self._error = error
        finally:
            self._over = True
            self._settled.set()
            self._listeners.end()
            for seen in list(self._asked.values()):
                if not seen.done():
                    seen.set_result(None)
