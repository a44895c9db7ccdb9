import pytest

from realtime.sources.marker_streams import AGAIN_S, MarkerClock, MarkerReader
from realtime.sources.metadata import Channel, SourceError, StreamDescription


def stream(*labels, format_="string"):
    channels = tuple(Channel(label) for label in labels)
    return StreamDescription("marks", "Markers", "id", "host", "uid", 0.0, format_, channels)


@pytest.mark.parametrize(
    ("described", "channel", "values", "kinds"),
    [
        (stream("m"), None, ["square"], ["square"]),
        (stream("m"), None, [""], [""]),
        (stream("m", format_="int32"), None, [7], ["7"]),
        (stream("rt", "square", format_="double64"), None, [0.0, -1.0], ["square"]),
        (stream("rt", "square", format_="double64"), "rt", [3.0, -1.0], ["3"]),
        (stream("block", "label"), None, ["block1", "face"], ["block1", "face"]),
        (stream("block", "label"), None, ["", "face"], ["face"]),
        (stream("block", "label"), "label", ["block1", "face"], ["face"]),
    ],
)
def test_markers_are_text_a_number_a_column_or_the_channel_that_is_named(described, channel, values, kinds):
    read = MarkerReader(described, channel).read(values, 2.0)
    assert [(marker.kind, marker.timestamp) for marker in read] == [(kind, 2.0) for kind in kinds]


def test_a_channel_that_is_named_says_what_is_left_out_and_must_be_there():
    assert MarkerReader(stream("block", "label")).left_out == ()
    (told,) = MarkerReader(stream("block", "label"), "label").left_out
    assert told == "of marker stream 'marks' only channel label is read, not block"
    with pytest.raises(SourceError, match=r"no channel 'word', it has block, label; correct markers\.channel"):
        MarkerReader(stream("block", "label"), "word")


def test_channels_may_be_fields_of_each_marker():
    grating = stream("code", "contrast", "angle", format_="double64")
    (marker,) = MarkerReader(grating, "code", {"angle": "orientation"}).read([2.0, 1.0, 45.0], 1.0)
    assert (marker.kind, marker.extra) == ("2", {"orientation": 45})
    assert MarkerReader(grating, "code", {"angle": "orientation"}).left_out[0].endswith("not contrast")
    (marker,) = MarkerReader(stream("word", "tone"), None, {"word": "word", "tone": "pitch"}).read(["cat", "high"], 1.0)
    assert (marker.kind, marker.extra) == ("cat", {"word": "cat", "pitch": "high"})
    with pytest.raises(SourceError, match=r"no channel 'x'.*correct markers\.fields"):
        MarkerReader(grating, "code", {"x": "y"})


@pytest.mark.parametrize(
    ("ahead_s", "told"),
    [(1.7e9, "1700000000 s ahead of the LSL clock"), (0.8, "0.8 s ahead of"), (-100.0, "100 s behind"), (0.1, None)],
)
def test_markers_of_another_clock_are_told_once_in_a_while(ahead_s, told):
    clock = MarkerClock("marks")
    first, again, later = (clock.look(now + ahead_s, now) for now in (50.0, 60.0, 51.0 + AGAIN_S))
    if told is None:
        assert (first, again, later) == (None, None, None)
    else:
        assert told in first
        assert "make the sender timestamp with local_clock()" in first
        assert (again, later) == (None, first)
