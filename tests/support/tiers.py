"""Two marks: tests of the wall clock run last and alone, and what starts processes says so (``-m "not processes"``).

Among workers (``pytest -n``) the tests are shared file by file.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing.process
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

REALTIME = "realtime"
PROCESSES = "processes"
RERUNS = 2
"""Tries more that a test of the wall clock has where the run allows any (``--max-suite-reruns``)."""
MOST_WORKERS = 8
"""Each takes up to 1 GB."""
HELPERS = {"fc-list", "gcc", "git", "ldconfig", "uname"}
"""What libraries ask about the machine, in a moment."""
STARTERS = {"mosquitto", "make_mosquitto", "display", "laptop_display"}
"""Fixtures that start a process."""
_LISTED = pytest.StashKey[Path]()
_undeclared: list[str] = []
"""The test that runs, where those marked `PROCESSES` are left out."""


class QuietLast(LoadFileScheduling):
    """Whole files; then the tests marked `REALTIME` on one worker, when no other has anything left to do."""

    def schedule(self):
        self._measuring = set(self.config.stash[_LISTED].read_text().splitlines())
        super().schedule()

    def _split_scope(self, nodeid):
        return REALTIME if nodeid in self._measuring else super()._split_scope(nodeid)

    def _reschedule(self, node):
        """Hand out a file when the last test of the one before is due: nothing waits behind it for longer."""
        if self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)

    def _assign_work_unit(self, node):
        if REALTIME in self.workqueue:
            self.workqueue.move_to_end(REALTIME)
        if next(iter(self.workqueue)) == REALTIME:
            others = [other for other in self.nodes if other is not node]
            if not all(other.shutting_down for other in others):
                node.shutdown()
                return
            if any(self._pending_of(self.assigned_work[other]) for other in others):
                return
        super()._assign_work_unit(node)

    def remove_node(self, node):
        """Give the rest of a dead worker's files to others, but not the test that ended it."""
        work = self.assigned_work[node].values()
        unit, fatal = next(((unit, test) for unit in work for test, done in unit.items() if not done), ({}, None))
        unit[fatal] = True
        super().remove_node(node)
        return fatal

    def mark_test_complete(self, node, item_index, duration=0):
        super().mark_test_complete(node, item_index, duration)
        for other in self.nodes:  # the one that stays may have waited for this
            if other is not node:
                self._reschedule(other)


def _declared(start, name):
    """Let `start` start a process, whose program `name` tells from its arguments, unless such tests are left out."""

    @functools.wraps(start)
    def checked(self, *args, **kwargs):
        if _undeclared and name(args) not in HELPERS:
            pytest.fail(f"starts {name(args)}: mark {_undeclared[0]} with pytest.mark.{PROCESSES}")
        return start(self, *args, **kwargs)

    return checked


def _program(args):
    first = args[0] if isinstance(args[0], str | os.PathLike) else args[0][0]
    return Path(first).name


def pytest_configure():
    subprocess.Popen.__init__ = _declared(subprocess.Popen.__init__, _program)
    process = multiprocessing.process.BaseProcess
    process.start = _declared(process.start, lambda _: "a child of multiprocessing")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    if PROCESSES in item.config.option.markexpr and not item.get_closest_marker(PROCESSES):
        _undeclared.append(item.nodeid)
    try:
        return (yield)
    finally:
        _undeclared.clear()


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return QuietLast(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One for each core where no test starts processes, and else two: those wait for half of their time."""
    cores = os.cpu_count() or 1
    return cores if PROCESSES in config.option.markexpr else min(2 * cores, MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Give a worker the file for the names of tests that it finds marked: it sends names alone, and no marks."""
    if _LISTED not in node.config.stash:
        handle, name = tempfile.mkstemp(prefix="perceptogram-tests-", suffix=".txt")
        os.close(handle)
        node.config.stash[_LISTED] = Path(name)
        node.config.add_cleanup(Path(name).unlink)
    node.workerinput[REALTIME] = str(node.config.stash[_LISTED])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """Look for no garbage in what is imported and collected, which stays to the end: a third of the time goes on it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Mark what fixtures tell, allow reruns, and begin with the files whose tests take longest."""
    for item in items:
        if not STARTERS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(PROCESSES)
    yield
    measuring = [item for item in items if item.get_closest_marker(REALTIME)]
    if config.getoption("max_suite_reruns"):
        for item in measuring:
            item.add_marker(pytest.mark.flaky(reruns=RERUNS))
    if hasattr(config, "workerinput"):
        Path(config.workerinput[REALTIME]).write_text("\n".join(item.nodeid for item in measuring))
        longest: dict[Path, float] = {}
        for item in items:
            longest[item.path] = max(longest.get(item.path, 0), _at_most_s(item))
        items.sort(key=lambda item: -longest[item.path])


def _at_most_s(item):
    """Return how long a test says that it may take, or 1 s for a slow one and 0 s for others, which do not say."""
    limit = item.get_closest_marker("timeout")
    return limit.args[0] if limit else float(item.get_closest_marker("slow") is not None)
