import subprocess
import sys
from pathlib import Path

import pytest

from configs.base import Settings
from configs.schema import PRESETS, Config, ConfigError, load_config, parse_config


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_loads(preset):
    assert load_config(preset).name.replace("-", "_") == preset


def test_an_empty_config_is_the_default():
    assert parse_config({}, "here").window.stop_s == 0.8


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"filtres": {}}, "filtres: unknown key"),
        ({"filters": {"lowpass": 40}}, r"filters\.lowpass: unknown key"),
        ({"stream": {"unit": "uV"}}, r"stream\.unit: .*microvolts.*given: 'uV'"),
        ({"filters": {"lowpass_hz": -1}}, r"filters\.lowpass_hz: .*greater than 0 \(given: -1\)"),
        ({"filters": {"highpass_hz": 50}}, r"highpass_hz \(50\) must be below lowpass_hz \(40\)"),
        ({"window": {"start_s": 1.0}}, r"stop_s \(0\.8\) must be after start_s \(1\)"),
        ({"pictures": {"set": "folder"}}, "needs a folder"),
        ({"stimulus": {"on_s": 0.5}}, r"on_s \(0\.5\) must not exceed onset_to_onset_s \(0\.2\)"),
        ({"render": {"warm_above": 0.99}}, "the embedded generator starts from noise"),
        ({"render": {"flow": 0.5, "steps": 1}}, r"takes 2 steps or more, .* \(steps: 1\)"),
        ({"render": {"flow": 0.5, "remote": True}}, "a renderer on this machine"),
        ({"render": {"flow": 0.5, "reuse_above": 0.9}}, "flow says itself"),
        ({"render": {"flow": 1.0}}, "less than 1"),
        ({"render": {"warm_above": 0.99, "generator": "unclip", "steps": 1}}, r"needs at least 2 \(steps: 1\)"),
        ({"render": {"reuse_above": 0.99, "remote": True}}, "others' pictures come between"),
        ({"render": {"size": 512}}, r"embedded generator paints 128 pixels; leave it out \(given: 512\)"),
        ({"render": {"timesteps": [999, 749, 499, 249]}}, "embedded generator has its own"),
        ({"render": {"generator": "sdxl-turbo", "timesteps": [399]}}, r"those of 1 steps: set steps .* \(given: 4\)"),
        (
            {"render": {"generator": "sdxl-turbo", "steps": 2, "timesteps": [499, 999]}},
            r"must fall, from noise to picture \(given: \[499, 999\]\)",
        ),
        ({"render": {"generator": "sdxl-turbo", "steps": 1, "timesteps": [1000]}}, "less than 1000"),
        ({"render": {"reuse_above": 1.5}}, r"render\.reuse_above: .*less than or equal to 1 \(given: 1\.5\)"),
        ("text", "must be a mapping"),
    ],
)
def test_a_wrong_setting_is_named(content, says):
    with pytest.raises(ConfigError, match=says):
        parse_config(content, "session.yaml")


def test_several_faults_give_a_line_each():
    with pytest.raises(ConfigError) as error:
        parse_config({"a": 1, "render": {"steps": 0}}, "session.yaml")
    assert len(str(error.value).splitlines()) == 2


def test_unreadable_files_name_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"give a YAML file or a preset: .*demo"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1,")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("given", "pixels"),
    [
        ({}, 128),
        ({"generator": "sdxl-turbo"}, 512),
        ({"generator": "sd15-few-step"}, 512),
        ({"generator": "unclip"}, 768),
        ({"generator": "unclip", "size": 512}, 512),
    ],
)
def test_pictures_are_as_large_as_the_generator_was_trained_on_unless_told(given, pixels):
    assert parse_config({"render": given}, "session.yaml").render.pixels == pixels


def keys(model, prefix=""):
    """Every key of the settings with its field."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


@pytest.mark.parametrize(("key", "field"), list(keys(Config)), ids=[key for key, _ in keys(Config)])
def test_every_key_says_what_it_does(key, field):
    assert field.description is not None
    assert len(field.description.split()) > 2
    text = field.description.lower()
    for unit, words in (("_s", ("second", "silence", "time", "interval", "rest")), ("_hz", ("hz", "often", "rate"))):
        if key.endswith(unit):
            assert any(word in text for word in words), text


@pytest.mark.processes
def test_the_page_of_all_keys_is_up_to_date():
    script = Path(__file__).parents[2] / "docs" / "write_configuration.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_does_not_hide_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert load_config("demo").name == "demo"
