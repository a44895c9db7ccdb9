import numpy as np
import pytest

from configs.schema import StreamSettings
from realtime.sources.metadata import (
    Channel,
    SourceError,
    StreamDescription,
    Wanted,
    choose,
    describe,
    parse_info,
    select,
    unit_name,
)

ANY = StreamSettings()


def stream(*channels, rate_hz=250.0, name="amp", format_="float32"):
    return StreamDescription(name, "EEG", "id", "host", "uid", rate_hz, format_, channels)


def test_labels_under_either_name_missing_parts_and_the_reference_are_read():
    xml = """<info><name>amp</name><type>EEG</type><channel_count>3</channel_count><nominal_srate>250</nominal_srate>
    <channel_format>float32</channel_format><source_id/><desc><reference><label>TP9</label><label>TP10</label></reference>
    <channels><channel><label>Fz</label><unit>uV</unit></channel><channel><name>Cz</name></channel></channels></desc></info>"""
    described = describe(parse_info(xml))
    assert [channel.label for channel in described.channels] == ["Fz", "Cz", "ch3"]
    assert described.channels[0].unit == "uV"
    assert described.reference == "TP9, TP10"
    assert described.source_id == ""


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


@pytest.mark.parametrize("text", ["a\x02b", "a&#2;b", "a&#x02;b", "a&#xd800;b", "a&#99999999;b", "a\ufffeb"])
def test_characters_that_xml_forbids_are_replaced(text):
    assert parse_info(f"<info><name>{text}</name></info>") == {"name": ["a\ufffdb"]}


def test_characters_that_xml_allows_stay():
    assert parse_info("<info><name>a&#65;&amp;\u00b5\n</name></info>") == {"name": ["aA&\u00b5\n"]}


@pytest.mark.parametrize(
    ("xml", "told"),
    [
        ("<info><name>amp</info>", "metadata are not XML"),
        ("<info><name>amp</name><channel_count>1000000000</channel_count></info>", "'amp' claims 1000000000 channels"),
        ("<info><name>amp</name><channel_count>-1</channel_count></info>", "claims -1 channels"),
        ("<info><name>amp</name><channel_count>many</channel_count></info>", "'many' for channel_count"),
        ("<info><name>amp</name><nominal_srate>nan</nominal_srate></info>", "'nan' for nominal_srate"),
    ],
)
def test_metadata_that_mean_nothing_are_refused_in_one_line(xml, told):
    with pytest.raises(SourceError, match=told) as refused:
        describe(parse_info(xml))
    assert "\n" not in str(refused.value)
