"""What a session left behind in shared memory is told from what another program holds there."""

import multiprocessing
import os

import pytest

from benchmarks.session_rig import SHARED, _held, _names

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="shared memory is no folder here")


def test_what_a_living_process_holds_was_not_left_behind():
    before = set(_names(SHARED))
    semaphore = multiprocessing.get_context("spawn").Semaphore()
    name = f"sem.{semaphore._semlock.name.removeprefix('/')}"
    assert name in set(_names(SHARED)) - before
    assert _held(SHARED / name)


def test_what_nobody_holds_was_left_behind_and_what_is_gone_was_not():
    file = SHARED / f"left-by-a-test-{os.getpid()}"
    file.write_bytes(b"left")
    try:
        assert not _held(file)
    finally:
        file.unlink()
    assert _held(file)
