"""A calibration session: pictures on the screen, everything recorded, and the map's score after every block.

Presenter, recorder and LSL reader are processes of their own; this one cuts the epochs, scores them between blocks and
decides when it is enough. Whatever ends it, the recording, the plan and the frame log stay, and a later run goes on.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from calibration.data.reading import Collector, read_trials
from calibration.data.sources import EarlierBundle
from calibration.data.targets import make_targets
from calibration.data.trials import Trials
from calibration.errors import FitError
from configs.errors import InputError
from configs.schema import Config
from perceptogram.calibrate.block_scores import Blocks, Standing, StopRule
from perceptogram.calibrate.children import CalibrationError, showing, with_own_markers
from perceptogram.calibrate.folder import CalibrationFolder, read_usable
from perceptogram.calibrate.stream_reader import Ear, block_quality
from perceptogram.calibrate.view import BlockReport, View
from realtime.recording.recorder import Recorder, Wanted
from realtime.sources.boards.bridge import on_air
from realtime.sources.lsl import LslSource
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.child import STOP, ChildProcess
from stimuli.markers import PICTURE, Marker
from stimuli.presentation import PAUSE, RESUME
from stimuli.presenter import BEGIN
from stimuli.sequence import Plan

logger = logging.getLogger(__name__)

HEARING_S = 30.0
MARGIN_S = 0.5
"""Seconds for which the stream is still read when the last window of a block should be complete."""
PATIENCE_S = 5.0
"""Seconds to wait for the last window of a block where the stream has stopped."""


@dataclass(frozen=True)
class Conduct:
    """How a calibration is run.

    Attributes
    ----------
    headless
        Show the pictures to nobody.
    rule
        When it may end before the plan does.
    participant
        Whom to simulate; None for a real one.
    sources
        Earlier bundles that the map starts from, so that there is a score from the first block on.
    """

    headless: bool = False
    rule: StopRule | None = None
    participant: SimulationSettings | None = None
    sources: tuple[EarlierBundle, ...] = ()

    @property
    def attended(self) -> bool:
        """Whether somebody at the keyboard starts each block."""
        return not self.headless and self.participant is None


@dataclass(frozen=True)
class Ending:
    """How a run ended: the plan was shown to its end, or the rule was met, or neither (an abort)."""

    completed: bool
    rule_met: bool
    shown: int
    planned: int

    @property
    def aborted(self) -> bool:
        """Whether the run should be gone on with."""
        return not (self.completed or self.rule_met)


def check(config: Config, rule: StopRule | None) -> None:
    """Refuse settings under which no calibration can be run.

    Raises
    ------
    InputError
        If the stimuli come from another program, or the rule names a score that pictures do not have.
    """
    if config.markers.classes:
        msg = "markers.classes says that another program shows the stimuli: use 'perceptogram record', then 'fit'"
        raise InputError(msg)
    if rule is not None and rule.score == "auc":
        msg = "--stop-when auc: pictures are scored by two_way, top1 and top5; auc is for two classes"
        raise InputError(msg)


def trials_a_minute(planned: Plan) -> float:
    """Return how many pictures are shown in a minute, rests between sequences included."""
    shown = sum(not trial.is_target for trial in planned.trials)
    return 60.0 * shown / planned.duration_s


def earlier_trials(folder: CalibrationFolder, config: Config) -> Trials | None:
    """Return the trials of the runs before an abort; None where there are none."""
    recordings = folder.recordings()
    if not recordings:
        return None
    try:
        return read_usable(recordings, config, lambda paths: read_trials(paths, config))
    except FitError as error:
        logger.warning("nothing to go on from: %s", error)
        return None


def calibrate(config: Config, folder: CalibrationFolder, planned: Plan, conduct: Conduct, view: View) -> Ending:
    """Show what is left of a plan, record it, and tell after each block how the map stands.

    Parameters
    ----------
    config, folder, planned
        The settings, where recordings and frame logs lie, and the whole plan; what the logs have shown is left out.
    conduct, view
        How it is run, and what the experimenter sees of it.

    Raises
    ------
    CalibrationError
        If the presenter fails; what was recorded until then stays.
    SourceError, RecorderError
        If a stream is not there, or nothing can be recorded.
    """
    left = folder.left(planned)
    if not left.trials:
        view.say("every trial of the plan has been shown")
        return Ending(completed=True, rule_met=False, shown=len(planned.trials), planned=len(planned.trials))
    view.bar("embedding the pictures", 0, len(left.trials))
    # The p-value takes longest and is not shown; the fit at the end has it.
    quick = config.model_copy(update={"fit": config.fit.model_copy(update={"permutations": 0})})
    blocks = Blocks(make_targets(config, np.array(planned.pictures)), quick, conduct.sources)
    earlier = earlier_trials(folder, config)
    n_earlier = 0 if earlier is None else len(earlier)
    if earlier is not None:
        standing = blocks.add(earlier)
        view.say(f"going on: {n_earlier} trials recorded, {len(left.trials)} of {len(planned.trials)} still to show")
        if _met(conduct.rule, standing):
            view.say("the rule is met by what was recorded before")
            shown = len(planned.trials) - len(left.trials)
            return Ending(completed=False, rule_met=True, shown=shown, planned=len(planned.trials))
    config = with_own_markers(config)
    with ExitStack() as stack:
        who = conduct.participant
        presenter = stack.enter_context(
            showing(
                config,
                folder.plan,
                folder.frames,
                headless=conduct.headless,
                attended=conduct.attended,
                # other noise in each run
                participant=None if who is None else replace(who, session=len(folder.recordings())),
            )
        )
        stream, board = on_air(config.stream)
        if board is not None:
            stack.callback(board.stop)
        config = config.model_copy(update={"stream": stream})
        source = LslSource(stream, config.markers)
        stack.callback(source.close)
        recorder = Recorder(folder.next_recording(), [Wanted.by(config.stream), Wanted.by(config.markers)])
        stack.callback(recorder.stop)
        recorder.start()
        collector = Collector(config, source.spec)
        for line in blocks.check(collector.take()):
            view.say(line)
        ear = Ear(source)
        stack.callback(ear.close)
        run = _Run(config, planned, left, conduct, view, blocks, presenter, recorder, ear, collector)
        run.to_the_end()
        failed = presenter.latest("error")
        finished = presenter.latest("finished") or {}
    if failed is not None:
        msg = f"the presenter stopped: {failed.get('text', '')}; what was recorded stays, --resume goes on"
        raise CalibrationError(msg)
    return Ending(bool(finished.get("completed")), run.rule_met, len(folder.shown()), len(planned.trials))


@dataclass
class _Run:
    """One run while it lasts."""

    config: Config
    planned: Plan
    left: Plan
    conduct: Conduct
    view: View
    blocks: Blocks
    presenter: ChildProcess
    recorder: Recorder
    ear: Ear
    collector: Collector
    rule_met: bool = False
    _begun: bool = False
    _seen: int = 0
    _flagged: int = 0
    _ends: tuple[int, float] | None = None
    """Block that has ended, and the timestamp at which its last window is complete."""

    def to_the_end(self) -> None:
        """Take in the stream until the presenter has ended and the last window is complete."""
        try:
            while not self._over():
                self._step()
            self._drain()
        except KeyboardInterrupt:
            self.presenter.say(STOP)
            self._drain()

    def _over(self) -> bool:
        return self.presenter.latest("finished") is not None or not self.presenter.running

    def _drain(self) -> None:
        """Read on until every window is complete, or the stream has been silent for too long."""
        give_up = time.monotonic() + HEARING_S
        while not self._over() and time.monotonic() < give_up:
            self._step()
        end = self.collector.newest + self._tail_s
        give_up = time.monotonic() + PATIENCE_S
        while (self.collector.newest < end or self._ends is not None) and time.monotonic() < give_up:
            self._step()

    @property
    def _tail_s(self) -> float:
        return max(self.config.window.stop_s, 0.0) + max(self.config.markers.offset_s, 0.0) + MARGIN_S

    def _step(self) -> None:
        for item in self.ear.hear(0.1):
            for trouble in self.collector.push(item):
                if trouble.kind == "lost" and self._over():
                    continue  # the presenter's markers end with it
                self.view.say(f"stream: {trouble.text}")
                self._mind(trouble.kind)
            if isinstance(item, Marker):
                self._take_marker(item)
        for notice in self.recorder.troubles():
            if notice.kind != "lost" or not self._over():
                self.view.say(notice.text)
        if not self._begun and self.collector.settled:
            self._begun = True
            self.presenter.say(BEGIN)
        if self._ends is not None and self.collector.newest >= self._ends[1]:
            (block, _), self._ends = self._ends, None
            self._score(block)

    def _mind(self, kind: str) -> None:
        """Show nothing while no EEG comes; where somebody attends, they decide when to go on."""
        if kind in ("stalled", "lost"):
            self.presenter.say(PAUSE)
        elif kind in ("resumed", "reconnected", "restarted") and not self.conduct.attended and self._ends is None:
            self.presenter.say(RESUME)

    def _take_marker(self, marker: Marker) -> None:
        n_left = len(self.left.trials)
        if marker.kind in (PICTURE, "target"):
            self._seen += 1
            self.view.bar(f"block {int(marker.extra.get('block', 0)) + 1} of {self._n_blocks}", self._seen, n_left)
        elif marker.kind == "block-end":
            block = int(marker.extra["block"])
            self._ends = (block, marker.timestamp + self._tail_s)
            if not self.conduct.attended and block + 1 < self._n_blocks:
                # Nobody decides how long to rest, so the next block waits for the score.
                self.presenter.say(PAUSE)

    @property
    def _n_blocks(self) -> int:
        return self.planned.trials[-1].block + 1

    def _score(self, block: int) -> None:
        """Tell how the map stands, then end the session or let it go on."""
        trials = self.collector.take()
        self._flagged += sum(map(bool, trials.flags))
        standing = self.blocks.add(trials)
        progress = self.presenter.latest("progress") or {}
        self.view.block(
            BlockReport(
                block + 1,
                self._n_blocks,
                standing,
                block_quality(trials, self.config),
                len(self.collector.refused),
                self._flagged,
                int(progress.get("dropped", 0)),
                self.collector.pipeline.timeline.lost,
            )
        )
        if _met(self.conduct.rule, standing):
            self.rule_met = True
            self.view.say(f"{self.conduct.rule} is met: the session ends here")
            self.presenter.say(STOP)
        elif not self.conduct.attended:
            self.presenter.say(RESUME)


def _met(rule: StopRule | None, standing: Standing) -> bool:
    return rule is not None and rule.met(standing.scores)
