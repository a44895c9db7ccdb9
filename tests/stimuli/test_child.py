"""What a child process says over hours is not kept for ever."""

import tracemalloc

import pytest

from stimuli.child import KEPT, ChildError, ChildProcess

pytestmark = pytest.mark.processes

REPORTS = 20_000


@pytest.fixture
def child():
    child = ChildProcess("tests.support.chatty_child", [str(REPORTS)])
    yield child
    child.stop()


def test_reports_are_counted_and_only_the_newest_of_each_kind_are_kept(child):
    child.wait_for("halfway", 20)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        child.say("go on")
        child.wait_for("finished", 60)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4 * KEPT * 1000, "20 MB were said"
    assert child.latest("progress")["shown"] == REPORTS
    assert child.wait_for("progress", 1, count=REPORTS)["shown"] == REPORTS
    assert child.wait_for("progress", 1, count=REPORTS - 3)["shown"] == REPORTS - 3
    assert child.wait_for("progress", 1, count=1)["shown"] == REPORTS - KEPT + 1, "the oldest that is kept"
    assert child.latest("never") is None
    with pytest.raises(ChildError, match="did not report 'progress' within"):
        child.wait_for("progress", 0.05, count=REPORTS + 1)
