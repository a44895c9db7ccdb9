"""The streams of a live session: what it reads, records and sends, and the window that may show pictures."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from configs.errors import InputError
from configs.schema import Config
from perceptogram import __version__
from realtime.decoding.bundle import Bundle
from realtime.recording.percept_outlets import PerceptOutlets
from realtime.recording.recorder import Recorder, Wanted
from realtime.sources.base import Notice
from realtime.sources.boards.bridge import BoardNews, on_air
from realtime.sources.lsl import LslSource
from stimuli.child import ChildError, ChildProcess
from stimuli.marker_outlet import NAME, MarkerOutlet
from stimuli.markers import Marker
from stimuli.on_demand import SHOW, OnDemandJob, start_on_demand
from stimuli.pictures import open_pictures

RECORDING = "recording.xdf"
PAGE_ID = "perceptogram-page"
"""Source id of the marker stream of pages, where the settings name none."""
RECORDINGS = "recording*.xdf"
"""Pattern of the names of a session's recordings: several where a recorder had to be replaced."""


class LiveStreams:
    """Opens in order what a live session needs, and closes it again.

    Parameters
    ----------
    config
        Settings of the session.
    bundle
        Its calibration, which knows what plain marker labels stand for.
    record
        Folder for ``recording.xdf`` with the EEG, the markers and the percepts; None to record nothing.
    show_pictures
        Whether to start a stimulus window that shows pictures on demand.
    headless
        Show them to nobody.

    Attributes
    ----------
    config
        The settings, completed with the bundle's classes.
    source
        The EEG and the markers, while the context is open.
    outlets
        The percepts' streams, while the context is open.
    recorder
        Writes the streams; None where nothing is recorded. A dead one is replaced while `source` is read.

    Raises
    ------
    InputError
        If a stream is not there or is not the only one of its kind, or the stimulus window cannot be opened.
    """

    source: LslSource
    outlets: PerceptOutlets

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        record: Path | None,
        *,
        show_pictures: bool = False,
        headless: bool = False,
    ) -> None:
        if show_pictures and bundle.space.is_labels:
            msg = "--show-pictures: the bundle tells labels apart, which have no pictures; another program shows them"
            raise InputError(msg)
        self._pages = config.web.enabled and config.web.markers
        if self._pages and show_pictures:
            msg = "--show-pictures and web.markers: either this session shows the pictures or a page does; choose one"
            raise InputError(msg)
        markers = config.markers.model_copy(update={"classes": bundle.classes})
        self.config = config.model_copy(update={"markers": markers})
        self._bundle = bundle
        self._record = record
        self._show_pictures = show_pictures
        self._headless = headless
        self._opened = ExitStack()
        self.recorder: Recorder | None = None
        self.presenter: ChildProcess | None = None
        self._outlet: MarkerOutlet | None = None
        self._board_news: BoardNews | None = None
        self._demands = 0
        self._lock = threading.Lock()  # scripts and the session's own thread may ask at once

    def __enter__(self) -> LiveStreams:
        with ExitStack() as opened:
            markers = self.config.markers
            if self._show_pictures:
                self.presenter = self._start_presenter()
                opened.callback(self.presenter.stop)
                self._names = frozenset(open_pictures(self.config.pictures).names)
            if self._pages:
                self._outlet = MarkerOutlet(markers.name or NAME, markers.source_id or PAGE_ID)
                opened.callback(self._outlet.close)
            stream, board = on_air(self.config.stream)
            if board is not None:
                opened.callback(board.stop)
                self._board_news = BoardNews(board)
            self.source = LslSource(stream, markers)
            opened.callback(self.source.close)
            self.outlets = opened.enter_context(PerceptOutlets(self.config.name, self._bundle.space, __version__))
            if self._record is not None:
                self._recorded = self._read()
                own = [Wanted(uid=uid) for uid in self.outlets.uids]
                awaited = [Wanted.by(markers)] if markers.required else []
                self.recorder = Recorder(self._record / RECORDING, [self._recorded, *own, *awaited])
                self.recorder.start(may_follow=own)  # percepts.jsonl has what they carry
                opened.callback(self.recorder.stop)
                if not awaited:
                    self.recorder.add(Wanted.by(markers))  # whenever it appears
            self.source.watch = self._notices
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def show(self, picture: str) -> int:
        """Ask the stimulus window for a picture and return the number of the demand, which its marker bears.

        Raises
        ------
        ValueError
            If there is no window, or the set has no such picture.
        """
        if self.presenter is None or not self.presenter.running:
            msg = f"cannot show {picture!r}: this session has no stimulus window; start it with --show-pictures"
            raise ValueError(msg)
        if picture not in self._names:
            msg = f"picture {picture!r} is not in the set of this session"
            raise ValueError(msg)
        with self._lock:
            self._demands += 1
            self.presenter.say(f"{SHOW} {picture}")
            return self._demands

    def mark(self, marker: Marker) -> None:
        """Send a marker of a page that shows the pictures; where none may, nothing is sent."""
        if self._outlet is not None:
            self._outlet.send(marker)

    def _read(self) -> Wanted:
        """Return what the session reads: that outlet and no other of its name is recorded."""
        spec = self.source.spec
        return Wanted(spec.name, spec.type, spec.source_id or None, uid=self.source.uid)

    def _notices(self) -> list[Notice]:
        """Return what is to be reported of the board and the recorder; keep that alive, at the outlet that is read."""
        board = [] if self._board_news is None else self._board_news()
        if self.recorder is None:
            return board
        if self._recorded != self._read():
            before, self._recorded = self._recorded, self._read()
            self.recorder.add(self._recorded, instead_of=before)
        return board + self.recorder.troubles()

    def _start_presenter(self) -> ChildProcess:
        job = OnDemandJob(
            self.config.pictures, self.config.stimulus, self._headless, name=self.config.markers.name or NAME
        )
        try:
            return start_on_demand(job)
        except ChildError as error:
            msg = f"the stimulus window does not open: {error}"
            raise InputError(msg) from error
