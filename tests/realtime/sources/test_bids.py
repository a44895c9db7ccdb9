"""What the tables of a BIDS data set say of a recording: events, channels and units, by the table that holds."""

import numpy as np
import pytest

from configs.markers import MarkerSettings
from configs.schema import Config
from realtime.sources.base import Chunk
from realtime.sources.bids import channel_table, find_runs, good_channels, read_events, sidecar
from realtime.sources.metadata import SourceError
from realtime.sources.recording import open_recording
from tests.support.recording_files import Wave, edf_bytes, write_brainvision

EVENTS = "onset\tduration\ttrial_type\tstim_file\tstim_id\ttot_img_number\n"


def table(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def channels(*rows):
    return "name\ttype\tunits\tstatus\n" + "".join("\t".join(row) + "\n" for row in rows)


@pytest.fixture
def root(tmp_path):
    """Two people, two sessions, two tasks; the channels are told once for all, and once otherwise for one run."""
    table(tmp_path / "dataset_description.json", "{}")
    rows = [(name, "EEG", "µV", "good") for name in ("Fz", "Cz", "Pz")]
    table(tmp_path / "task-look_channels.tsv", channels(*rows, ("aux", "MISC", "n/a", "good")))
    values = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32)
    for subject in ("01", "02"):
        for session in ("1", "2"):
            for task in ("look", "rest"):
                stem = f"sub-{subject}_ses-{session}_task-{task}"
                file = tmp_path / f"sub-{subject}" / f"ses-{session}" / "eeg" / f"{stem}_eeg.vhdr"
                file.parent.mkdir(parents=True, exist_ok=True)
                write_brainvision(file, values, [], units=("µV",) * 4, names=("Fz", "Cz", "Pz", "aux"))
                table(file.with_name(f"{stem}_events.tsv"), EVENTS + "1.0\t0.1\timage\tcat/a.png\tn/a\tn/a\n")
    file = tmp_path / "sub-02" / "ses-2" / "eeg" / "sub-02_ses-2_task-look_channels.tsv"
    table(file, channels(("Fz", "EEG", "µV", "good"), ("Cz", "EEG", "µV", "bad"), ("Pz", "EEG", "µV", "good")))
    table(tmp_path / "sourcedata" / "sub-01" / "eeg" / "sub-01_task-look_eeg.vhdr", "")
    return tmp_path


def recording(root, subject="01", session="1"):
    return root / f"sub-{subject}" / f"ses-{session}" / "eeg" / f"sub-{subject}_ses-{session}_task-look_eeg.vhdr"


def test_runs_are_found_by_their_labels(root):
    assert [(run.subject, run.session) for run in find_runs(root, "look")] == [
        (subject, session) for subject in ("01", "02") for session in ("1", "2")
    ]
    assert [run.session for run in find_runs(root, "look", ["sub-02"], ["ses-1"])] == ["1"]
    for wrong, said in (
        (("see",), "has no EEG of task see; it has look, rest"),
        (("look", ["03"]), "has no EEG of subject 03; it has 01, 02"),
        (("look", (), ["9"]), "has no EEG of session 9; it has 1, 2"),
    ):
        with pytest.raises(SourceError, match=said):
            find_runs(root, *wrong)
    with pytest.raises(SourceError, match=r"is no BIDS data set: it has no dataset_description\.json"):
        find_runs(root / "sub-01", "look")


def test_the_nearest_table_whose_name_is_part_of_the_recordings_holds(root):
    assert sidecar(recording(root), "channels.tsv") == root / "task-look_channels.tsv"
    assert sidecar(recording(root, "02", "2"), "channels.tsv").parent.name == "eeg"
    assert sidecar(root / "sub-01/ses-1/eeg/sub-01_ses-1_task-rest_eeg.vhdr", "channels.tsv") is None
    assert channel_table(recording(root)).eeg == ("Fz", "Cz", "Pz")
    assert channel_table(recording(root)).unit == "microvolts"
    assert channel_table(recording(root, "02", "2")).bad == ("Cz",)


def test_channels_that_are_bad_anywhere_are_left_out_everywhere(root):
    runs = [run.path for run in find_runs(root, "look")]
    common, told = good_channels(runs)
    assert common == ("Fz", "Pz")
    assert "marked as bad in some of 4 recordings" in told
    assert told.endswith(": Cz")
    settings = Config(markers=MarkerSettings(events="bids"))
    opened = open_recording(recording(root, "02", "2"), settings)
    assert opened.spec.channels == ("Fz", "Pz")
    assert any("Cz" in notice for notice in opened.notices)
    named = settings.model_copy(update={"stream": settings.stream.model_copy(update={"channels": ("Cz",)})})
    assert open_recording(recording(root, "02", "2"), named).spec.channels == ("Cz",)


def test_units_are_the_files_own_and_else_the_tables(root):
    settings = Config(markers=MarkerSettings(events="bids"))
    file = recording(root)
    header = file.read_text(encoding="utf-8")
    file.write_text(header.replace("Ch1=Fz,,1,µV", "Ch1=Fz,,1,furlong"), encoding="utf-8")
    with pytest.raises(SourceError, match="furlong"):
        open_recording(file)
    assert open_recording(file, settings).spec.unit == "microvolts"


def test_a_bdf_whose_unit_the_table_tells(root):
    waves = [Wave(name, np.full(500, 10.0 + place), "", high=800.0) for place, name in enumerate(("Fz", "Cz", "Pz"))]
    file = root / "sub-03" / "eeg" / "sub-03_task-look_eeg.bdf"
    table(file.with_name("sub-03_task-look_events.tsv"), EVENTS + "1.5\t0.1\timage\tn/a\tn/a\t12\n")
    file.write_bytes(edf_bytes(waves, bdf=True))
    opened = open_recording(file, Config(markers=MarkerSettings(events="bids")))
    assert (opened.spec.unit, opened.spec.channels) == ("microvolts", ("Fz", "Cz", "Pz"))
    (shown,) = opened.markers
    assert (shown.picture, shown.timestamp - opened.first_s) == ("look-00012", 1.5)
    first = next(item for item in opened.events() if isinstance(item, Chunk))
    np.testing.assert_allclose(first.samples[0], [10, 11, 12], atol=0.1)


def events(root, rows, settings=None):
    table(recording(root).with_name("sub-01_ses-1_task-look_events.tsv"), EVENTS + rows)
    return read_events(recording(root), settings or MarkerSettings(events="bids"), 100.0)


def test_pictures_are_named_by_file_by_identifier_or_by_number(root):
    shown = events(
        root,
        "2\t.1\timage\tstimuli/cat/b.png\tn/a\tn/a\n1\t.1\timage\tcat/a.png\tn/a\tn/a\n9\t0\trest\tn/a\tn/a\tn/a\n",
    )
    assert [(marker.timestamp, marker.picture) for marker in shown] == [
        (101, "cat/a.png"),
        (102, "cat/b.png"),
        (109, None),
    ]
    assert [marker.kind for marker in shown] == ["picture", "picture", "rest"]
    by_number = "1\t.1\timage\tn/a\tn/a\t7\n2\t.1\ttarget\tn/a\tn/a\tn/a\n3\t.1\ttarget\tn/a\tn/a\t0\n"
    assert [marker.picture for marker in events(root, by_number)] == ["look-00007", None, None]


def test_identifiers_stand_for_files_of_the_table_of_stimuli(root):
    listed = "stimulus_id\tfilename\tpresent\nstim-look00007\tcat/seven.png\ttrue\nstim-see00007\tdog.png\ttrue\n"
    table(root / "stimuli" / "stimuli.tsv", listed)
    assert [marker.picture for marker in events(root, "1\t.1\timage\tn/a\tn/a\t7\n")] == ["cat/seven.png"]
    assert [marker.picture for marker in events(root, "1\t.1\timage\tn/a\tstim-see00007\t7\n")] == ["dog.png"]


def test_bad_stretches_and_labels_of_classes_stay_what_they_are(root):
    rows = "1\t0.5\tBAD_muscle\tn/a\tn/a\tn/a\n2\t.1\tface\tcat/a.png\tn/a\tn/a\nn/a\t0\tface\tcat/a.png\tn/a\tn/a\n"
    bad, shown = events(root, rows)
    assert bad.is_bad
    assert bad.duration_s == 0.5
    assert shown.picture == "cat/a.png"
    classes = MarkerSettings(events="bids", classes={"face": "faces"})
    assert [marker.kind for marker in events(root, rows, classes)] == ["BAD_muscle", "face"]


def test_says_which_columns_there_are(root):
    with pytest.raises(
        SourceError, match=r"names no picture in stim_file .*--picture-column .*; it has onset, duration"
    ):
        events(root, "1\t.1\timage\tn/a\tn/a\tn/a\n")
    with pytest.raises(SourceError, match="has no column 'picture'"):
        events(root, "1\t.1\timage\ta\tn/a\tn/a\n", MarkerSettings(events="bids", picture_column="picture"))
    named = MarkerSettings(events="bids", picture_column="trial_type")
    assert [marker.picture for marker in events(root, "1\t.1\tcat-1\tn/a\tn/a\tn/a\n", named)] == ["cat-1"]
    recording(root).with_name("sub-01_ses-1_task-look_events.tsv").unlink()
    with pytest.raises(SourceError, match=r"has no events\.tsv"):
        read_events(recording(root), MarkerSettings(events="bids"), 0.0)
