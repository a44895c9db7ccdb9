"""A BIDS dataset that mne-bids reads back and whose every path the BIDS validator's rules accept."""

import csv
import json

import mne_bids
import numpy as np
import pytest
from bids_validator import BIDSValidator

from calibration.data.data_set import choose_runs
from configs.errors import InputError
from configs.schema import ArtefactSettings, Config, FilterSettings, MarkerSettings, load_config
from perceptogram.bids import Who, export_bids
from perceptogram.raw import LOST
from realtime.epoching.epochs import Closed, Refused
from realtime.epoching.pipeline import Pipeline
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.recording import open_recording
from realtime.timeline.sample_grid import Hole
from stimuli.markers import Marker
from stimuli.pictures import open_pictures
from tests.support.command import perceptogram

EEG = """<info><name>amp</name><type>EEG</type><channel_count>2</channel_count><nominal_srate>250</nominal_srate>
<channel_format>float32</channel_format><source_id>amp</source_id><desc><channels>
<channel><label>Fz</label><unit>microvolts</unit></channel><channel><label>Cz</label><unit>microvolts</unit></channel>
</channels><reference><label>Nz</label></reference></desc></info>"""
MARKERS = """<info><name>marks</name><type>Markers</type><channel_count>1</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>"""
WHO = Who("07", None, "pictures")
LOST_AT = 1500


def write_recording(folder):
    """Twelve seconds in which 50 samples are missing, with two pictures and a foreign marker."""
    names = open_pictures(load_config("demo").pictures).names[:2]
    kept = np.delete(np.arange(3000), slice(LOST_AT, LOST_AT + 50))
    timestamps = 100 + kept / 250
    writer = XdfWriter(folder / "recording.xdf")
    writer.stream_header(1, EEG)
    writer.stream_header(2, MARKERS)
    writer.clock_offset(1, timestamps[0], 0.0)
    writer.numbers(1, timestamps, np.stack([kept, np.sin(kept)], axis=1).astype(np.float32))
    sent = [Marker(103.0, "picture", names[0], {"trial": 0}).text(), "go", Marker(109.0, "picture", names[1]).text()]
    writer.texts(2, [103.0, 104.0, 109.0], [[text] for text in sent])
    writer.close()
    (folder / "pictures").mkdir()
    (folder / "pictures" / "0000-x.png").write_bytes(b"picture")
    (folder / "percepts.jsonl").write_text('{"trial": 0}\n')
    (folder / "summary.json").write_text('{"simulated": true}')
    return folder / "recording.xdf", names


def test_what_was_recorded_is_read_back(tmp_path):
    recording, names = write_recording(tmp_path)
    (run,) = export_bids([recording], tmp_path / "bids", Config(pictures=load_config("demo").pictures), WHO, 50.0)
    assert (run.samples, run.lost, run.events, run.stimuli, run.reconstructions) == (3000, 50, 3, 2, 1)
    path = mne_bids.BIDSPath(subject="07", task="pictures", run="01", datatype="eeg", root=tmp_path / "bids")
    raw = mne_bids.read_raw_bids(path, verbose="error")
    data = raw.get_data() * 1e6
    there = np.ones(3000, bool)
    there[LOST_AT : LOST_AT + 50] = False
    np.testing.assert_allclose(data[0, there], np.flatnonzero(there), rtol=1e-4, atol=0.1)
    assert not data[:, ~there].any()
    told = {
        (str(note["description"]), round(float(note["onset"]), 3), round(float(note["duration"]), 3))
        for note in raw.annotations
    }
    assert {("picture", 3.0, 0.0), ("go", 4.0, 0.0), ("picture", 9.0, 0.0), (LOST, 6.0, 0.2)} <= told

    folder = tmp_path / "bids" / "sub-07" / "eeg"
    with (folder / "sub-07_task-pictures_run-01_events.tsv").open() as file:
        events = list(csv.DictReader(file, delimiter="\t"))
    pictures = [event for event in events if event["trial_type"] == "picture"]
    assert [event["picture"] for event in pictures] == list(names)
    for event in pictures:
        assert (tmp_path / "bids" / "stimuli" / event["stim_file"]).is_file()
    assert json.loads(pictures[0]["sent"]) == {"trial": 0}
    sidecar = json.loads((folder / "sub-07_task-pictures_run-01_eeg.json").read_text())
    assert (sidecar["SamplingFrequency"], sidecar["EEGReference"], sidecar["PowerLineFrequency"]) == (250, "Nz", 50)
    described = json.loads((folder / "sub-07_task-pictures_run-01_events.json").read_text())
    assert set(events[0]) - set(described) <= {"onset", "duration", "trial_type", "value", "sample"}


def test_what_was_exported_is_a_data_set_to_fit_on(tmp_path):
    recording, names = write_recording(tmp_path)
    export_bids([recording], tmp_path / "bids", Config(pictures=load_config("demo").pictures), WHO, 50.0)
    chosen = choose_runs(tmp_path / "bids", "pictures")
    (path,) = chosen.paths
    opened = open_recording(path, chosen.config)
    assert (chosen.subjects, opened.spec.channels) == (("07",), ("Fz", "Cz"))
    pictures = open_pictures(chosen.config.pictures)
    shown = [marker.picture for marker in opened.markers if marker.picture is not None]
    assert shown == [f"{name}.png" for name in names]
    assert set(shown) == set(pictures.names)
    (lost,) = [marker for marker in opened.markers if marker.is_bad]
    assert lost.duration_s == pytest.approx(0.2)
    # Or by their names in the set that was shown.
    given = Config(pictures=load_config("demo").pictures)
    named = choose_runs(tmp_path / "bids", "pictures", given, picture_column="picture").config
    assert named.pictures == given.pictures
    assert [marker.picture for marker in open_recording(path, named).markers if marker.picture] == list(names)


def test_every_path_is_one_that_the_validator_knows(tmp_path):
    recording, _ = write_recording(tmp_path)
    export_bids([recording, recording], tmp_path / "bids", Config(), Who("07", "a", "pictures"))
    validator = BIDSValidator()
    root = tmp_path / "bids"
    paths = [f"/{path.relative_to(root).as_posix()}" for path in root.rglob("*") if path.is_file()]
    raw = [path for path in paths if not path.startswith(("/derivatives/", "/stimuli/"))]
    assert [path for path in raw if not validator.is_bids(path)] == []
    assert len([path for path in raw if path.endswith("_eeg.vhdr")]) == 2
    for needed in ("dataset_description.json", "participants.tsv", "README"):
        assert (root / needed).is_file()
    described = json.loads((root / "dataset_description.json").read_text())
    assert "simulated" in described["Name"]
    assert described["BIDSVersion"]
    derived = json.loads((root / "derivatives" / "perceptogram" / "dataset_description.json").read_text())
    assert derived["DatasetType"] == "derivative"
    assert derived["GeneratedBy"][0]["Name"]
    assert len(list((root / "derivatives").rglob("*_recon.png"))) == 2


def test_real_recordings_keep_their_events(shared_data, tmp_path):
    (run,) = export_bids([shared_data / "eeglab" / "eeglab_data.set"], tmp_path / "bids", Config(), WHO)
    assert (run.samples, run.events, run.lost) == (30504, 154, 0)
    path = mne_bids.BIDSPath(subject="07", task="pictures", run="01", datatype="eeg", root=tmp_path / "bids")
    raw = mne_bids.read_raw_bids(path, verbose="error")
    assert list(raw.annotations.description).count("square") == 80
    assert len(raw.ch_names) == 32


def test_nothing_is_overwritten_and_labels_are_checked(tmp_path):
    recording, _ = write_recording(tmp_path)
    with pytest.raises(InputError, match="is not empty"):
        export_bids([recording], tmp_path, Config(), WHO)
    with pytest.raises(InputError, match="letters and digits"):
        Who("0-7", None, "pictures")
    with pytest.raises(InputError, match=r"no recording .*absent\.xdf"):
        export_bids([tmp_path / "absent.xdf"], tmp_path / "bids", Config(), WHO)
    assert not (tmp_path / "bids").exists()


def test_the_command_says_what_it_wrote(tmp_path):
    recording, _ = write_recording(tmp_path)
    done = perceptogram("export-bids", recording, "--out", tmp_path / "bids")
    assert done.returncode == 0, done.stderr
    assert "3000, 50 of them lost" in done.stdout


def test_events_in_a_gap_stay_where_they_were_and_the_gap_is_one_when_read_back(tmp_path):
    timestamps = 1000 + np.r_[0:5000, 6250:15_000] / 250
    writer = XdfWriter(tmp_path / "hole.xdf")
    writer.stream_header(1, EEG)
    writer.stream_header(2, MARKERS)
    writer.clock_offset(1, timestamps[0], 0.0)
    for start in range(0, len(timestamps), 50):
        part = timestamps[start : start + 50]
        writer.numbers(1, part, np.stack([10 * (part - 1000), np.sin(part)], axis=1).astype(np.float32))
    blink = Marker(0.0, "BAD_blink", extra={"duration_s": 0.5}).text()
    sent = ((5.0, "1"), (19.6, "1"), (22.0, "2"), (24.5, "1"), (30.0, "2"), (40.2, blink))
    for second, text in sent:
        writer.texts(2, [1000 + second], [[text]])
    writer.close()
    (run,) = export_bids([tmp_path / "hole.xdf"], tmp_path / "bids", Config(), WHO)
    assert (run.samples, run.lost, run.events) == (15_000, 1250, 6)
    folder = tmp_path / "bids" / "sub-07" / "eeg"
    with (folder / "sub-07_task-pictures_run-01_events.tsv").open() as file:
        events = [(row["trial_type"], float(row["onset"])) for row in csv.DictReader(file, delimiter="\t")]
    assert [onset for kind, onset in events if not kind.startswith("BAD")] == [5.0, 19.6, 22.0, 24.5, 30.0]
    assert [event for event in events if event[0].startswith("BAD")] == [(LOST, 20.0), ("BAD_blink", 40.2)]

    classes = MarkerSettings(classes=dict.fromkeys(("Stimulus/S  1", "Stimulus/S  2"), "cat"))
    unfiltered = FilterSettings(highpass_hz=None, lowpass_hz=None)
    config = Config(markers=classes, filters=unfiltered, artefacts=ArtefactSettings(peak_to_peak_uv=None))
    recording = open_recording(folder / "sub-07_task-pictures_run-01_eeg.vhdr", config)
    assert [(marker.kind[-1], round(marker.timestamp, 3)) for marker in recording.markers if not marker.is_bad] == [
        (text, onset) for onset, text in sent[:5]
    ]
    assert [(m.kind, m.timestamp, m.duration_s) for m in recording.markers if m.is_bad] == [("BAD_blink", 40.2, 0.5)]
    pipeline = Pipeline(config, recording.spec)
    found = [event for item in recording.events() for event in pipeline.push(item)]
    assert [(event.lost, event.timestamp) for event in found if isinstance(event, Hole)] == [(1250, 25.0)]
    epochs = {event.epoch.onset: event.epoch.samples[:, 0] for event in found if isinstance(event, Closed)}
    assert list(epochs) == [5.0, 30.0]
    assert epochs[30.0] == pytest.approx(300 + np.arange(200) / 25, abs=0.01)
    refused = [event for event in found if isinstance(event, Refused)]
    assert [event.marker.timestamp for event in refused] == [19.6, 22.0, 24.5]
    assert {event.reason for event in refused} == {"1250 samples lost at 25.000 s, in the window or too soon before it"}
