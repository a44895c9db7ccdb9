import gc
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from realtime.processes.priority import run_first, undisturbed

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="scheduling policies are Linux's"),
]


def policy():
    """The calling thread's."""
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def elsewhere(work):
    """Return what `work` returns in a thread of its own, whose priority ends with it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("heirs", [False, True])
def test_a_thread_runs_first_and_what_it_starts_does_if_so_asked(heirs):
    first, own, started = elsewhere(lambda: (run_first(heirs=heirs), policy(), elsewhere(policy)))
    assert own == (os.SCHED_RR if first else os.SCHED_OTHER)
    assert started == (os.SCHED_RR if first and heirs else os.SCHED_OTHER)
    assert policy() == os.SCHED_OTHER


def test_what_was_changed_is_changed_back():
    def work():
        with undisturbed() as first:
            inside = policy(), gc.get_freeze_count() > 0
        return first, inside, (policy(), gc.get_freeze_count() > 0)

    first, inside, after = elsewhere(work)
    assert inside == (os.SCHED_RR if first else os.SCHED_OTHER, True)
    assert after == (os.SCHED_OTHER, False)


def test_where_the_system_refuses_all_goes_on_as_usual(monkeypatch):
    def refuse(*_arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert run_first(heirs=True) is False
    with undisturbed() as first:
        assert first is False
        assert policy() == os.SCHED_OTHER
    assert gc.get_freeze_count() == 0
