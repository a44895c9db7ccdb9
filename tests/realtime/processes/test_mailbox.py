import os
import signal
import subprocess
import sys
import threading
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.processes.mailbox import Mailbox

pytestmark = pytest.mark.processes

CONTEXT = get_context("spawn")


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=50))))
def test_reader_sees_only_the_newest(actions):
    """None reads; everything else is put."""
    box = Mailbox(1000)
    seen, number, last = 0, 0, None
    for action in actions:
        if action is None:
            assert box.newest(seen) == (None if seen == number else (number, last))
            seen = number
        else:
            number, last = box.put(action), action
    assert box.newest(number) is None


def test_item_too_large_is_refused_and_the_slot_keeps_its_own():
    box = Mailbox(100)
    box.put("kept")
    with pytest.raises(ValueError, match="does not fit the mailbox of 100 bytes"):
        box.put("x" * 101)
    assert box.newest(0) == (1, "kept")


def test_half_written_item_is_not_seen():
    box = Mailbox(1000)
    box.put("a" * 100)
    box._shared[60] ^= 1
    assert box.newest(0) is None


def test_wait_ends_when_an_item_comes():
    box = Mailbox(100)
    assert box.wait(0, 0.01) is None
    timer = threading.Timer(0.05, box.put, ["late"])
    timer.start()
    assert box.wait(0, 30.0) == (1, "late")
    timer.join()


def read_until(box, last, answers):
    seen = count = 0
    while seen < last:
        found = box.wait(seen, 1.0)
        if found is not None:
            number, content = found
            if number <= seen or content != [number] * (number % 2000):
                answers.send(("torn or out of order", number))
                return
            seen, count = number, count + 1
    answers.send(("whole", count))


def test_items_cross_processes_whole_while_the_writer_never_pauses():
    box = Mailbox(20000)
    answers, theirs = CONTEXT.Pipe(duplex=False)
    reader = CONTEXT.Process(target=read_until, args=(box, 20000, theirs), daemon=True)
    reader.start()
    for number in range(1, 20001):
        box.put([number] * (number % 2000))
    verdict, count = answers.recv()
    reader.join()
    answers.close()
    theirs.close()
    assert verdict == "whole"
    assert 1 <= count <= 20000


def test_the_writer_never_waits_and_a_late_reader_still_gets_the_newest():
    box = Mailbox(1000)
    for number in range(100_000):
        box.put(number)
    assert box.wait(0, 0.0) == (100_000, 99_999)
    assert box.wait(100_000, 0.0) is None
    box.put("after")
    assert box.wait(100_000, 1.0) == (100_001, "after")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="shows its shared memory nowhere")
def test_killed_with_all_its_helpers_it_leaves_nothing_in_shared_memory():
    program = (
        "import time\n"
        "from realtime.processes.mailbox import Mailbox\n"
        "box = Mailbox(1 << 18)\n"
        "box.put('hello')\n"
        "print('there', flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    with owner:
        assert owner.stdout.readline() == b"there\n"
        mapped = Path(f"/proc/{owner.pid}/maps").read_text().splitlines()
        os.killpg(owner.pid, signal.SIGKILL)
    shared = {int(line.split()[4]) for line in mapped if "/dev/shm/" in line}
    assert shared, "it holds its slot there"
    assert [file.name for file in os.scandir("/dev/shm") if file.inode() in shared] == []
