import re
from pathlib import Path

from configs.schema import MarkerSettings
from realtime.epoching.unmatched import HOW, Unmatched
from stimuli.markers import is_stimulus, read_marker

CLASSES = MarkerSettings(classes={"1": "cat", "2": "house"})


def test_it_speaks_once_and_only_where_no_marker_was_a_stimulus():
    heard = Unmatched(CLASSES)
    for number in range(12):
        heard.add(f"k{number % 10}", float(number), is_stimulus=False)
    assert heard.waited_s(20.0) == 20.0
    line = heard.tell()
    assert line == (
        "no marker is one of markers.classes (1, 2); there are 'k0' (2), 'k1' (2), 'k2' (1), 'k3' (1), 'k4' (1), "
        "'k5' (1), 'k6' (1), 'k7' (1) and 2 more kinds"
    )
    assert heard.tell() is None
    assert heard.waited_s(90.0) == 0.0


def test_a_stimulus_silences_it():
    heard = Unmatched(CLASSES)
    heard.add("block", 1.0, is_stimulus=False)
    heard.add("1", 2.0, is_stimulus=True)
    assert (heard.waited_s(99.0), heard.tell()) == (0.0, None)


def test_no_marker_at_all_is_told_where_one_is_required():
    assert "no marker came" in Unmatched(CLASSES).tell()
    assert Unmatched(CLASSES.model_copy(update={"required": False})).tell() is None
    only = Unmatched(MarkerSettings())
    only.add("1", 0.0, is_stimulus=False)
    assert only.tell() == f"no marker is a picture; {HOW}; there are '1' (1)"


def test_what_people_are_told_to_send_is_read_as_a_picture():
    told = re.search(r"\{.*?\}", HOW)[0]
    assert is_stimulus(read_marker(told, 0.0), {})
    documented = [page.read_text() for page in (Path("docs/sessions.md"), Path("docs/calibration.md"))]
    assert all(told.replace("NAME", "cat-1015") in page for page in documented)
