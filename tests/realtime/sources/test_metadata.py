import pytest

from realtime.sources.metadata import SourceError, describe, parse_info


def test_labels_under_either_name_missing_parts_and_the_reference_are_read():
    xml = """<info><name>amp</name><type>EEG</type><channel_count>3</channel_count><nominal_srate>250</nominal_srate>
    <channel_format>float32</channel_format><source_id/><desc><reference><label>TP9</label><label>TP10</label></reference>
    <channels><channel><label>Fz</label><unit>uV</unit></channel><channel><name>Cz</name></channel></channels></desc></info>"""
    described = describe(parse_info(xml))
    assert [channel.label for channel in described.channels] == ["Fz", "Cz", "ch3"]
    assert described.channels[0].unit == "uV"
    assert described.reference == "TP9, TP10"
    assert described.source_id == ""


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
