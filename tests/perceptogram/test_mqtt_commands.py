import signal

import pytest
import typer
from typer.testing import CliRunner

from configs.schema import ConfigError
from perceptogram.commands import broker, worker
from realtime.mqtt.address import BrokerError
from realtime.rendering.remote.worker import RemoteWorker


@pytest.fixture
def run():
    app = typer.Typer()
    for command in (broker, worker):
        command.register(app)
    return lambda *words: CliRunner().invoke(app, words)


@pytest.fixture
def served(monkeypatch):
    """Note which worker would serve, instead of serving."""
    workers = []
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(RemoteWorker, "serve", lambda self, _stop: workers.append(self))
    yield workers
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("name", ["broker", "worker"])
def test_help_has_an_example(run, name):
    assert f"Example: perceptogram {name} --" in run(name, "--help").output


@pytest.mark.parametrize(
    ("words", "kind", "complaint"),
    [
        (["worker"], BrokerError, "set control.url"),
        (["worker", "--broker", "mqtt://lab.example"], BrokerError, "--allow-remote|allow_remote: true"),
        (["worker", "--broker", "http://127.0.0.1"], ConfigError, "control.url"),
        (["worker", "--broker", "mqtt://127.0.0.1", "--generator", "dream"], ConfigError, "render.generator"),
        (["broker", "--host", "0.0.0.0"], BrokerError, "loopback only"),
    ],
)
def test_bad_options_are_one_line(run, served, words, kind, complaint):
    result = run(*words)
    assert isinstance(result.exception, kind)
    assert served == []
    with pytest.raises(kind, match=complaint):
        raise result.exception


def test_options_go_over_the_config(run, served, tmp_path):
    config = tmp_path / "lab.yaml"
    config.write_text(
        "control: {url: mqtt://lab.example, allow_remote: true, root: lab}\nrender: {generator: unclip, size: 256}\n"
    )
    result = run("worker", "--config", str(config), "--broker", "mqtt://127.0.0.1:1884", "--weights", "there")
    assert result.exception is None, result.output
    (worker,) = served
    assert str(worker._address) == "mqtt://127.0.0.1:1884"
    assert worker._root == "lab"
    assert (worker._settings.generator, worker._settings.size, worker._settings.weights) == ("unclip", 256, "there")
