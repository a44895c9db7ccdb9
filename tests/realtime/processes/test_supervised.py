"""Processes that are watched: real ones, killed, stopped in the worst moment, and never listened to."""

import os
import signal
import struct
import threading
import time

import pytest

from realtime.processes.companion import STOP, Companion
from realtime.processes.supervised import KEPT, KILLED_S, Reports, Supervised

pytestmark = pytest.mark.processes

PATIENCE_S = 90.0
LARGE = 1 << 20


@pytest.fixture
def start():
    processes = []

    def run(target, *arguments, **options):
        processes.append(Supervised("child", target, arguments, **options))
        return processes[-1]

    yield run
    for process in processes:
        assert process.close()


def until(done, within_s=PATIENCE_S):
    give_up = time.monotonic() + within_s
    while not (found := done()):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return found


def first_word(process):
    return until(lambda: next(process.hear(0.1), None))


def echo(pipe):
    """Say what is heard, until `STOP`; raise on "raise", say what cannot be sent on "unsendable"."""
    reports = Reports(pipe)
    reports.say("here")
    while (word := pipe.recv()) != STOP:
        if word == "raise":
            raise SystemExit(3)
        reports.say((x for x in ()) if word == "unsendable" else word)
    reports.close(1.0)


def test_what_is_said_is_heard_and_all_of_it_before_the_end_is_told(start):
    process = start(echo)
    assert first_word(process) == "here"
    for word in [*range(200), "unsendable", "still there", STOP]:
        process.tell(word)
    heard = []
    assert process.listen(heard.append, lambda: False) == "died (exit code 0)"
    assert heard == [*range(200), "still there"], "one that cannot be sent costs no other"
    assert not process.alive
    process.tell("nobody hears it")


class Renamed:
    """What only an updated process knows."""


def say_what_nobody_knows(pipe):
    Renamed.__qualname__ = "Later"
    globals()["Later"] = Renamed
    reports = Reports(pipe)
    reports.say(Renamed())
    reports.say("known")
    reports.close(5.0)


def test_a_word_that_cannot_be_read_costs_no_other(start, caplog):
    heard = []
    assert start(say_what_nobody_knows).listen(heard.append, lambda: False) == "died (exit code 0)"
    assert heard == ["known"]
    assert "said what is not known here" in caplog.text


@pytest.mark.realtime
def test_a_process_that_dies_is_noticed_at_once(start):
    process = start(echo)
    first_word(process)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    assert process.listen(print, lambda: False) == "died (exit code -9)"
    assert time.monotonic() - began < 1.0
    process = start(echo)
    process.tell("raise")
    assert process.listen(lambda _: None, lambda: False) == "died (exit code 3)"


@pytest.mark.realtime
def test_a_process_that_is_stopped_is_noticed_and_one_that_is_paused_is_not(start):
    process = start(echo, hung_s=1.0)
    first_word(process)
    process.pause()
    give_up = time.monotonic() + 2.0
    assert process.listen(print, lambda: time.monotonic() > give_up) == ""
    process.resume()
    stopped = time.monotonic()
    os.kill(process.pid, signal.SIGSTOP)
    assert process.listen(print, lambda: False).startswith("hangs (no sign of life for 1.")
    assert time.monotonic() - stopped < 2.0


def stop_in_a_word(pipe):
    pipe.send("before")
    os.write(pipe.fileno(), struct.pack("!i", LARGE) + bytes(LARGE // 16))
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_process_that_is_stopped_in_the_middle_of_a_word_is_noticed_too(start):
    process = start(stop_in_a_word, hung_s=1.0)
    heard = []
    assert process.listen(heard.append, lambda: False).startswith("hangs")
    assert heard == ["before"]


def hang(pipe):
    reports = Reports(pipe, patience_s=0.5)
    reports.say("here")
    threading.Event().wait()


def test_work_that_hangs_is_noticed_though_the_process_runs(start):
    process = start(hang, hung_s=0.5)
    first_word(process)
    assert process.listen(print, lambda: False).startswith("hangs")


def test_a_session_that_was_held_up_blames_no_process(start):
    process = start(echo, hung_s=3.0)
    first_word(process)
    os.kill(process.pid, signal.SIGSTOP)
    while next(process.hear(0.5), None) or process.pipe.poll():
        pass
    assert process.trouble is None
    threading.Event().wait(4.0)  # as where all of them were stopped by the terminal, and go on together
    assert process.trouble is None
    os.kill(process.pid, signal.SIGCONT)
    give_up = time.monotonic() + 1.0
    assert process.listen(print, lambda: time.monotonic() > give_up) == ""


def talk(pipe, done, n):
    reports = Reports(pipe, {"word": KEPT, "status": 1})
    for number in range(n):
        reports.say((number, bytes(10_000)))
        reports.say(f"status {number}", "status")
    reports.say("the end")
    done.touch()
    pipe.recv()
    reports.close(5.0)


def test_a_session_that_does_not_listen_holds_up_nobody_and_hears_the_newest(start, tmp_path):
    process = start(talk, tmp_path / "done", 5 * KEPT)
    until((tmp_path / "done").exists)
    process.tell("listening now")
    heard = []
    process.listen(heard.append, lambda: False)
    numbers = [word[0] for word in heard if isinstance(word, tuple)]
    assert numbers[1 - KEPT :] == list(range(4 * KEPT + 1, 5 * KEPT))
    assert heard[-2:] == [f"status {5 * KEPT - 1}", "the end"], "in the order in which it was said"
    assert len(heard) < 2 * KEPT


def obstinate(pipe):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Reports(pipe).say("here")
    threading.Event().wait()


@pytest.mark.realtime
@pytest.mark.parametrize("stopped", [False, True])
def test_an_end_takes_no_longer_than_it_says(start, stopped):
    process = start(obstinate)
    first_word(process)
    if stopped:
        os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert process.close(0.2)
    assert time.monotonic() - began < 0.2 + 2 * KILLED_S
    assert process.exit_code == -signal.SIGKILL
    assert process.close(0.2), "twice does no harm"


@pytest.fixture
def keep():
    companions = []

    def run(target, *arguments):
        heard, told = [], []
        companions.append(Companion("echo", target, arguments, {"word": 10}, heard.append))
        companions[-1].tell = told.append
        companions[-1].start()
        return companions[-1], heard, told

    yield run
    for companion in companions:
        companion.stop(1.0)


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_a_companion_that_dies_or_is_stopped_is_told_and_replaced(keep, harm):
    companion, heard, told = keep(echo)
    until(lambda: heard == ["here"])
    first = companion.pid
    os.kill(first, harm)
    until(lambda: told)
    trouble = "died" if harm == signal.SIGKILL else "hangs"
    assert told[0].startswith(f"the echo process {trouble} (")
    assert told[0].endswith("; it is started again")
    companion.put("word", "to the next one")
    until(lambda: heard == ["here", "here", "to the next one"])
    assert (companion.restarts, companion.pid != first) == (1, True)


def die(_pipe):
    raise SystemExit(1)


def test_a_companion_that_cannot_start_is_tried_ever_more_rarely(keep):
    companion, _, told = keep(die)
    until(lambda: len(told) == 2)
    second = time.monotonic()
    until(lambda: len(told) == 3)
    assert time.monotonic() - second > 1.0
    assert companion.pid is None
