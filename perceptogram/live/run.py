"""One session from start to end: source, renderer and folder wired together, and what came of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.extras import lacking
from configs.schema import Config, ConfigError, PictureSettings, StimulusSettings
from perceptogram.console import as_json, errors
from perceptogram.live.control_observer import Shower, Steering
from perceptogram.live.display_observer import Screen
from perceptogram.live.folder import SessionFolder, written
from perceptogram.live.follow import Observer, follow
from perceptogram.live.result import LiveResult
from perceptogram.live.summary import summarise
from realtime.control.control import Control
from realtime.control.osc import osc_targets
from realtime.decoding.bundle import Bundle
from realtime.decoding.other_cap import fitted
from realtime.display.contact_sheet import SheetEntry, contact_sheet
from realtime.display.display import Display
from realtime.processes.blas_threads import one_thread
from realtime.processes.priority import undisturbed
from realtime.recording.percept_outlets import PerceptOutlets
from realtime.rendering.generators.base import check_space
from realtime.rendering.remote.renderer import RemoteRenderer
from realtime.rendering.worker import RenderWorker
from realtime.session import Session, SessionEvent
from realtime.sources.base import Source
from realtime.web.door import open_door
from realtime.web.stage import Stage
from stimuli.pictures import open_pictures

if TYPE_CHECKING:
    from PIL import Image

    from stimuli.markers import Marker

GENERATOR_PATIENCE_S = 120.0
LOOK_S = 0.1
SWITCH_S = 0.0005
"""Seconds after which another Python thread of this process, such as a script's, makes way for the EEG; Python's own is
ten times that."""
LINGER_S = 1.0
"""Seconds for which a live stream is still read after its program has said that all is sent."""


@dataclass(frozen=True)
class Finished:
    """A session that has ended."""

    result: LiveResult
    summary: dict[str, Any]


def decode(
    source: Source,
    config: Config,
    bundle: Bundle,
    out: Path,
    *,
    render: bool,
    live: bool,
    begin: Callable[[Session], None] | None = None,
    ended: Callable[[], bool] | None = None,
    renderer: RenderWorker | None = None,
    outlets: PerceptOutlets | None = None,
    show: Shower | None = None,
    mark: Callable[[Marker], None] = lambda _marker: None,
    candidates: set[str] | None = None,
    window: bool = False,
    beside: StimulusSettings | None = None,
    observe: Sequence[Callable[[SessionEvent], None]] = (),
    exclusive: bool = False,
    paint_left: Callable[[], bool] = lambda: True,
) -> Finished:
    """Decode `source` until it ends and leave percepts, pictures and ``summary.json`` in `out`.

    Parameters
    ----------
    source
        The stream or recording.
    config
        Everything about filters, markers, rendering and display.
    bundle
        The map, checked against the stream.
    out
        Folder of the results, empty.
    render
        Whether to paint; where the bundle tells labels apart nothing is, and a notice says so.
    live
        Whether the stream's timestamps are of now.
    begin
        Called with the session when everything is ready for the first sample.
    ended
        Asked now and then whether a live stream has sent all it will; the source is closed a moment later.
    renderer
        One that was started before; it stays running.
    outlets
        LSL streams that carry the percepts.
    show
        Shows the pictures that other programs ask for.
    mark
        Takes the markers of pages that show pictures themselves.
    candidates
        Pictures that can be the answer; the bundle's whole gallery when left out.
    window
        Whether to open the display; without one, its last state is saved as ``display.png`` all the same.
    beside
        The participant's window where this session opens one; the display leaves room for it.
    observe
        Called with every event.
    exclusive
        Whether this process is the session's alone: then its linear algebra runs on one thread, other Python threads
        make way sooner, garbage of before is left alone, and this thread asks for real-time priority.
    paint_left
        Asked after the end, before each picture that had no time to be painted, whether it is painted still.

    Raises
    ------
    BundleError
        If the stream does not fit the bundle.
    GeneratorError
        If the generator cannot be used, or was made for other embeddings.
    """
    from pylsl import local_clock

    with ExitStack() as opened:
        opened.callback(source.close)
        if exclusive:
            opened.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(SWITCH_S)
            opened.enter_context(one_thread())
        if bundle.space.is_labels:
            config = config.model_copy(update={"pictures": PictureSettings(set="labels")})
        if source.spec.simulated:
            bundle = replace(bundle, simulated=True)
        cap = fitted(bundle, source.spec, config.stream.least_of_score)
        bundle = cap.bundle if candidates is None else cap.bundle.only(candidates)
        control = _open_control(opened, config, cap.bundle, len(bundle.gallery.names), mark)
        unpainted = _why_unpainted(config, bundle) if render else None
        painter = _open_painter(opened, config, bundle, renderer, wanted=render and unpainted is None)
        session = Session(config, bundle, source, painter, local_clock)
        if unpainted is not None:
            session.tell("unpainted", f"nothing is painted: {unpainted}")
        if cap.text is not None:
            session.tell("cap", cap.text)
        if control is not None:
            control.tell_deaths(partial(session.tell, "lost"))
            control.tell_pages(partial(session.tell, "page"))
        pictures = open_pictures(config.pictures)
        folder = SessionFolder(out, pictures, config.pictures, partial(session.tell, "folder"))
        opened.callback(folder.close)
        result = LiveResult.in_folder(out)
        opened.callback(result.close)
        displays = [
            opened.enter_context(Display(config.display, out, config.pictures, beside, view))
            for view in (config.display.views if window else ())
        ]
        steering = Steering(session, config, bundle, control, outlets, source.close, show)
        screen = Screen(config, bundle, pictures, session, painter, displays, source.close)
        if ended is not None:
            opened.callback(_close_when(ended, source).set)
        if begin is not None:
            begin(session)
        observers: dict[str, Observer] = {
            "the session's folder": folder,
            "the display": screen,
            "the control channel": steering,
            **{f"observer {number}": look for number, look in enumerate(observe, start=1)},
        }
        with undisturbed() if live and exclusive else nullcontext(False) as first:
            failure = follow(session, result, observers, paint_left=paint_left)
        summary = summarise(result, bundle) | {"candidates": len(bundle.gallery.names), "runs_first": first}
        if cap.facts is not None:
            summary["cap"] = cap.facts
        if isinstance(failure, Exception):
            summary["failed"] = " ".join(str(failure).split())
            _tell_failure(control, failure)
        else:
            steering.ended(summary)
    for notice in session.unheard():
        if notice.kind == "folder":  # what still had to be saved when everything else was over
            errors.print(notice.text)
            summary["notices"].append(notice.text)
    _write_end(out, screen, result, bundle, summary)
    if failure is not None:
        raise failure
    return Finished(result, summary)


def _open_control(
    opened: ExitStack, config: Config, calibrated: Bundle, n_candidates: int, mark: Callable[[Marker], None]
) -> Control | None:
    """Return what other programs and pages are told by, until `opened` closes; None where none is to be told."""
    door = opened.enter_context(open_door(config.web)) if config.web.enabled else None
    targets = osc_targets(config.outputs, calibrated, n_candidates)
    if config.control.url is None and door is None and not targets:
        return None
    control = Control(config.control, config.name, calibrated.space, door, targets, Stage.of(config), mark)
    opened.enter_context(control)
    control.set_state("starting")
    opened.push(lambda _kind, error, _trace: _tell_failure(control, error))
    if door is not None:
        errors.print(f"page at {door.invitation}")
    return control


def _tell_failure(control: Control | None, error: BaseException | None) -> None:
    """Tell other programs that the session has failed, where it has."""
    if control is not None and error is not None:
        control.set_state("failed", error=str(error) or type(error).__name__)


def _why_unpainted(config: Config, bundle: Bundle) -> str | None:
    """Return why nothing can be painted in this session though it is decoded; None where it can."""
    if bundle.space.is_labels:
        return f"the bundle tells labels apart ({', '.join(bundle.gallery.names)}), not pictures"
    return None if config.render.remote else lacking("gpu", "painting")


def _open_painter(
    opened: ExitStack, config: Config, bundle: Bundle, renderer: RenderWorker | None, *, wanted: bool
) -> RenderWorker | RemoteRenderer | None:
    """Return a renderer that is ready: the one that runs already, or one until `opened` closes where one is wanted."""
    painter: RenderWorker | RemoteRenderer | None = None if bundle.space.is_labels else renderer
    if wanted and painter is None:
        painter = _make_renderer(config, bundle)
        opened.enter_context(painter)
    if painter is not None:
        check_space(bundle.space, painter.wait_ready(GENERATOR_PATIENCE_S))
    return painter


def _make_renderer(config: Config, bundle: Bundle) -> RenderWorker | RemoteRenderer:
    """Return a renderer, here or on other machines as the settings say."""
    if not config.render.remote:
        return RenderWorker(config.render)
    if config.control.url is None:
        msg = "render.remote is set, but control.url names no broker: give one, for example with --mqtt"
        raise ConfigError(msg)
    return RemoteRenderer(config.render, config.control, config.name, bundle.space)


def _close_when(ended: Callable[[], bool], source: Source) -> threading.Event:
    """Have a thread close `source` a moment after `ended` says so, and return the event that ends the waiting.

    It is a thread of its own because a stream that has ended brings no more events to ask the question at.
    """
    over = threading.Event()

    def wait() -> None:
        while not over.wait(LOOK_S):
            if ended():
                over.wait(LINGER_S)
                source.close()
                return

    threading.Thread(target=wait, name="end of stream", daemon=True).start()
    return over


def _write_end(out: Path, screen: Screen, result: LiveResult, bundle: Bundle, summary: dict[str, Any]) -> None:
    """Write what a session leaves when it has ended: the display's last state, means by class, the summary."""
    with written(out / "display.png") as part:
        screen.save(part)
    strip = _strip(result, simulated=bundle.simulated) if bundle.classes else None
    if strip is not None:
        with written(out / "strip.png") as part:
            strip.save(part, format="PNG")
    with written(out / "summary.json") as part:
        part.write_text(as_json(summary), encoding="utf-8")


def _strip(result: LiveResult, *, simulated: bool) -> Image.Image | None:
    """Return what was painted of each class from all its trials together, side by side; None where nothing was."""
    entries = []
    for name, percept in sorted(result.latest().items()):
        if result.painted.get(name) == percept.trial and name in result.pictures:
            guess = percept.neighbours[0].label
            label = f"{name}, mean of {percept.repeats} trials"
            image = result.pictures[name].image
            entries.append(SheetEntry(None, image, (), label, guess, percept.confidence, guess == name))
    return contact_sheet(entries, "averaged reconstructions", simulated=simulated) if entries else None
