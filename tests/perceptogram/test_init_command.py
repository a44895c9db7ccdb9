"""The first configuration is right as it is written, and a wrong one is told line by line."""

import json

import pytest
import yaml

from configs.schema import Config, load_config
from tests.support.command import perceptogram

pytestmark = pytest.mark.processes


def test_what_init_writes_is_right_and_commented(tmp_path):
    file = tmp_path / "lab of Anna.yaml"
    (tmp_path / "my pictures" / "cat").mkdir(parents=True)
    (tmp_path / "my pictures" / "cat" / "one.png").touch()
    done = perceptogram("init", file, "--stream", 'acti "C" hamp', "--pictures", tmp_path / "my pictures")
    assert done.returncode == 0, done.stderr
    assert f"perceptogram doctor --config '{file}'" in " ".join(done.stdout.split())
    assert "perceptogram config check 'lab of Anna.yaml'" in file.read_text()
    config = load_config(file)
    assert config.stream.name == 'acti "C" hamp'
    assert config.pictures.folder == tmp_path / "my pictures"
    assert file.read_text().count("#") > 8
    again = perceptogram("init", file, "--stream", "x", "--pictures", "drawn")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    checked = perceptogram("config", "check", file)
    assert checked.returncode == 0, checked.stderr
    assert "is right" in checked.stdout
    assert "0.3 to 40 Hz" in checked.stdout


def test_without_anybody_to_ask_it_says_what_to_give(tmp_path):
    done = perceptogram("init", tmp_path / "lab.yaml", "--stream", "x")
    assert done.returncode == 2
    assert "give --stream and --pictures" in " ".join(done.stderr.split())


def test_a_folder_without_folders_of_pictures_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "one.png").touch()
    done = perceptogram("init", tmp_path / "lab.yaml", "--stream", "x", "--pictures", tmp_path)
    assert done.returncode == 2
    assert "expected concept folders" in " ".join(done.stderr.split())
    assert not (tmp_path / "lab.yaml").exists()


def test_each_fault_is_a_line(tmp_path):
    (tmp_path / "bad.yaml").write_text("stream: {nam: x}\nfilters: {lowpass_hz: -3}\n")
    done = perceptogram("config", "check", tmp_path / "bad.yaml")
    assert done.returncode == 2
    assert done.stderr.count("error:") == 2
    assert "stream.nam" in done.stderr
    assert "filters.lowpass_hz" in done.stderr


def test_the_schema_takes_what_the_settings_take(tmp_path):
    done = perceptogram("config", "schema", "--out", tmp_path / "s.json")
    assert done.returncode == 0, done.stderr
    schema = json.loads((tmp_path / "s.json").read_text())
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["additionalProperties"] is False
    for name in yaml.safe_load("[stream, filters, window]"):
        assert schema["properties"][name]
