import numpy as np
import pytest

from configs.schema import StreamSettings
from realtime.sources.metadata import Channel, SourceError, StreamDescription
from realtime.sources.selection import Wanted, choose, select, unit_name

ANY = StreamSettings()


def stream(*channels, rate_hz=250.0, name="amp", format_="float32"):
    return StreamDescription(name, "EEG", "id", "host", "uid", rate_hz, format_, channels)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        *((text, "microvolts") for text in ("uV", "\u00b5V", "\u03bcV", "-6", "microvolts")),
        *(("V", "volts"), ("mV", "millivolts"), ("nanovolts", "nanovolts"), ("", None), ("ohm", None)),
    ],
)
def test_units_are_known_by_their_usual_spellings(text, unit):
    assert unit_name(text) == unit


def test_only_eeg_is_read_unless_channels_are_named():
    amp = stream(Channel("Fz", "EEG", "mV"), Channel("Diode", "PHOTO", "lux"), Channel("Cz", "eeg", "uV"))
    chosen = select(amp, ANY)
    assert chosen.spec.channels == ("Fz", "Cz")
    assert np.allclose(chosen.scale, [1000.0, 1.0])
    named = select(amp, StreamSettings(channels=("Diode", "Cz")))
    assert named.picks.tolist() == [1, 2]
    assert np.allclose(named.scale, [1.0, 1.0]), "a photodiode keeps its own unit"


def test_named_channels_are_found_in_another_case_where_that_is_clear():
    amp = stream(Channel("FP1", "EEG", "uV"), Channel("cz", "EEG", "uV"), Channel("CZ", "EEG", "uV"))
    assert select(amp, StreamSettings(channels=("Fp1",))).spec.channels == ("FP1",)
    assert select(amp, StreamSettings(channels=("CZ",))).picks.tolist() == [2]
    with pytest.raises(SourceError, match="no channel Cz"):
        select(amp, StreamSettings(channels=("Cz",)))


def test_what_is_missing_from_a_file_is_not_asked_to_be_started():
    told = {}
    for recorded in (False, True):
        with pytest.raises(SourceError) as refused:
            choose([stream(name="one")], "EEG", "stream", Wanted(name="two"), recorded=recorded)
        told[recorded] = str(refused.value)
    assert "start it, or correct stream.name" in told[False]
    assert "start it" not in told[True]
    assert "correct stream.name" in told[True]


def test_a_unit_that_is_set_replaces_the_one_told():
    assert select(stream(Channel("Fz", "EEG", "volts")), StreamSettings(unit="microvolts")).scale.tolist() == [1.0]


@pytest.mark.parametrize(
    ("described", "settings", "told"),
    [
        (stream(Channel("Fz")), ANY, r"channel Fz has no unit; set stream\.unit"),
        (stream(Channel("Fz", "EEG", "furlong")), ANY, "unit 'furlong'; set stream.unit"),
        (stream(Channel("Fz", "EEG", "uV"), rate_hz=0.0), ANY, "no sampling rate"),
        (stream(Channel("Fz", "EEG", "uV"), format_="string"), ANY, "carries text"),
        (stream(Channel("X", "AUX", "uV")), ANY, "no channel of type EEG"),
        (stream(Channel("Fz", "EEG", "uV")), StreamSettings(channels=("Oz",)), "no channel Oz; it has Fz"),
        (stream(Channel("Fz", "EEG", "uV"), Channel("Fz", "EEG", "uV")), ANY, "more than one channel called Fz"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(described, settings, told):
    with pytest.raises(SourceError, match=told) as refused:
        select(described, settings)
    assert "\n" not in str(refused.value)


def test_choose_wants_exactly_one():
    one, other = stream(name="one"), stream(name="other")
    assert choose([one, other], "EEG", "stream", Wanted(name="other", type="eeg")) is other
    with pytest.raises(SourceError, match=r"2 EEG streams agree with type 'EEG'.*'one'.*'other'.*set stream\.name"):
        choose([one, other], "EEG", "stream", Wanted(type="EEG"))
    with pytest.raises(SourceError, match=r"no EEG stream agrees.*no stream at all"):
        choose([], "EEG", "stream", Wanted())
