"""The settings of one session, typed and validated: one YAML file describes one session.

Unknown keys, wrong types and wrong units are refused with one line each that names the key.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from configs.base import Positive, Settings
from configs.epochs import ArtefactSettings as ArtefactSettings
from configs.epochs import FilterSettings as FilterSettings
from configs.epochs import WindowSettings as WindowSettings
from configs.errors import ConfigError as ConfigError
from configs.evidence import EvidenceSettings as EvidenceSettings
from configs.fit import FitSettings as FitSettings
from configs.markers import MarkerSettings as MarkerSettings
from configs.outputs import OutputSettings as OutputSettings
from configs.outputs import WebSettings as WebSettings
from configs.reading import fault_lines, read_yaml
from configs.render import MAX_STEPS as MAX_STEPS
from configs.render import RenderSettings as RenderSettings

PRESETS = Path(__file__).parent


class StreamSettings(Settings):
    """Which EEG stream to read. Whatever is given must match; what is left out may be anything."""

    source: Literal["lsl", "brainflow"] = "lsl"
    """Where it comes from: an LSL stream, or a `board` that BrainFlow reads (``pip install
    'perceptogram-live[boards]'``)."""
    board: str | None = None
    """The board, as BrainFlow calls it: ``CYTON_BOARD``, ``GANGLION_BOARD``, ``MUSE_2_BOARD``, ``SYNTHETIC_BOARD``."""
    board_settings: dict[str, str | int] = Field(default_factory=dict)
    """BrainFlow's input parameters, for example ``{serial_port: /dev/ttyUSB0}``, ``{mac_address: ...}``, ``{file: ...,
    master_board: CYTON_BOARD}``."""
    name: str | None = None
    """Name of the stream, as its program announces it; `perceptogram streams` lists them."""
    type: str = "EEG"
    """Type of the stream."""
    source_id: str | None = None
    """Source id of the stream: tells apart two amplifiers whose streams bear the same name."""
    host: str | None = None
    """Name of the machine that sends it."""
    unit: Literal["microvolts", "millivolts", "volts", "nanovolts"] | None = None
    """Unit of the samples, where the stream's metadata do not tell it."""
    channels: tuple[str, ...] | None = None
    """Channels to use, in this order; all EEG channels when left out, all of any type where it is ``["*"]``."""
    timeout_s: Positive = 10.0
    """Seconds for which the stream is looked for at the start, before it is reported as missing."""
    stall_s: Positive = 0.5
    """Seconds of silence after which the amplifier is reported as stalled."""
    least_of_score: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Where a stream lacks electrodes of the bundle: share of the bundle's score above chance that must be expected all
    the same, else it is refused; 1 refuses every stream that lacks one."""

    @model_validator(mode="after")
    def _board_given(self) -> StreamSettings:
        if (self.source == "brainflow") != (self.board is not None):
            msg = "source brainflow and board, such as SYNTHETIC_BOARD, go together"
            raise ValueError(msg)
        return self


class PictureSettings(Settings):
    """Which pictures are shown and searched."""

    set: Literal["drawn", "folder", "things", "bids", "labels"] = "drawn"
    """``drawn`` comes along; ``folder``: your own pictures; ``things``: a tree of THINGS or THINGS-EEG2; ``bids``: the
    stimuli of a BIDS data set; ``labels``: no pictures, `markers.classes` are told apart, and nothing is painted."""
    folder: Path | None = None
    """Where the pictures lie, for ``folder`` and ``things``; for ``bids`` the data set."""
    seed: int = 0
    """Decides which concepts, a fifth of them, are kept from the calibration for a test, where the set has no split of
    its own; of fewer than five none is."""

    @model_validator(mode="after")
    def _folder_given(self) -> PictureSettings:
        if self.set in ("folder", "things", "bids") and self.folder is None:
            msg = f"set {self.set!r} needs a folder"
            raise ValueError(msg)
        return self


class StimulusSettings(Settings):
    """How pictures are shown."""

    on_s: Positive = 0.1
    """Seconds for which a picture is on the screen."""
    onset_to_onset_s: Positive = 0.2
    """Seconds from one picture to the next within a sequence."""
    sequence_length: Annotated[int, Field(ge=1)] = 20
    """Pictures shown one after another without a rest."""
    pause_s: Annotated[float, Field(ge=0)] = 1.0
    """Seconds of rest between sequences."""
    targets_per_sequence: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Mean number of rare target pictures a sequence, to keep attention."""
    screen: Annotated[int, Field(ge=1)] | None = None
    """Number of the screen, from 1; the second where there is one when left out."""
    fullscreen: bool = False
    """Fill the screen; a picture keeps its size in pixels."""
    window_size: tuple[int, int] = (800, 800)
    """Width and height of the window in pixels; what the screen has room for where that is less."""
    picture_size: Annotated[int, Field(ge=32)] = 512
    """Longer side of a picture in pixels."""
    photodiode: bool = True
    """Light a square in the lower left corner with each picture, for a photodiode."""
    seed: int = 0
    """Decides which pictures are shown, in which order, and when a target comes."""

    @model_validator(mode="after")
    def _fits(self) -> StimulusSettings:
        if self.on_s > self.onset_to_onset_s:
            msg = f"on_s ({self.on_s:g}) must not exceed onset_to_onset_s ({self.onset_to_onset_s:g})"
            raise ValueError(msg)
        return self


class DisplaySettings(Settings):
    """The window that the experimenter and the audience see."""

    enabled: bool = True
    """Open the window; without it the last state is still saved as ``display.png``."""
    screen: Annotated[int, Field(ge=1)] = 1
    """Number of the screen, from 1."""
    fullscreen: bool = False
    """Fill the screen; F changes it while the session runs."""
    size: tuple[int, int] = (1280, 720)
    """Width and height of the window in pixels; what the screen has room for where that is less."""
    frame_rate_hz: Positive = 30.0
    """How often the window is drawn at most."""
    patterns: bool = False
    """Show on small heads which EEG pattern the percept stands for; a fit with this set puts the maps in the bundle."""
    views: tuple[Literal["experimenter", "participant"], ...] = ("experimenter",)
    """Windows to open: the experimenter's shows everything, the participant's the picture alone and never what was
    shown. The first one's times are the ledger's."""
    participant_screen: Annotated[int, Field(ge=1)] | None = None
    """Number of the screen of the participant's window, from 1; the second where there is one when left out."""
    participant_fullscreen: bool = False
    """Fill that screen."""
    participant_size: tuple[int, int] = (800, 800)
    """Width and height of the participant's window in pixels."""
    participant_confidence: bool = False
    """Show the confidence and its chance level below the picture."""


def _with_scheme(url: object) -> object:
    return f"mqtt://{url}" if isinstance(url, str) and "://" not in url and not url.isdecimal() else url


class ControlSettings(Settings):
    """The MQTT broker through which other programs listen and steer; none when `url` is left out.

    User and password come from the environment (``PERCEPTOGRAM_MQTT_USER``, ``PERCEPTOGRAM_MQTT_PASSWORD``) or from the
    file `credentials`, never from here.
    """

    url: (
        Annotated[
            str,
            BeforeValidator(_with_scheme),
            Field(pattern=r"^mqtts?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$"),
        ]
        | None
    ) = None
    """``mqtt://host:port`` or, with TLS, ``mqtts://host:port``; port 1883 or 8883 when left out. ``host:port`` is the
    first."""
    root: Annotated[str, Field(pattern=r"^[^+#/$\x00]+(/[^+#/\x00]+)*$")] = "perceptogram"
    """First part of every topic."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """MQTT version; ``auto`` tries 5 and falls back to 3.1.1."""
    credentials: Path | None = None
    """File of two lines: user, password."""
    ca_file: Path | None = None
    """Certificates to trust beside the system's, as PEM."""
    allow_remote: bool = False
    """Connect to another machine even without TLS and credentials."""
    frames: bool = True
    """Publish the painted pictures too."""


class Config(Settings):
    """Everything that one session needs to know."""

    name: str = "session"
    """Name of the session: in its streams, in the topics of MQTT and on the display."""
    participant: str | None = None
    """Pseudonym of whose EEG it is, written into the bundle; never a name."""
    simulated: bool = False
    """Whether the EEG is simulated; everything that is written then says so."""
    stream: StreamSettings = StreamSettings()
    markers: MarkerSettings = MarkerSettings()
    pictures: PictureSettings = PictureSettings()
    stimulus: StimulusSettings = StimulusSettings()
    filters: FilterSettings = FilterSettings()
    window: WindowSettings = WindowSettings()
    artefacts: ArtefactSettings = ArtefactSettings()
    fit: FitSettings = FitSettings()
    render: RenderSettings = RenderSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    display: DisplaySettings = DisplaySettings()
    control: ControlSettings = ControlSettings()
    web: WebSettings = WebSettings()
    outputs: tuple[OutputSettings, ...] = ()
    """Programs that are told every percept, such as ``[{osc: "udp://127.0.0.1:9000"}]``."""


def load_config(path: str | Path) -> Config:
    """Return the settings in a YAML file; a bare preset name such as ``demo`` means the file shipped under that name.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not YAML, or has a wrong key or value: one line for each.

    Examples
    --------
    >>> config = load_config("demo")
    >>> config.filters.lowpass_hz, config.filters.rate_hz
    (40.0, 125.0)
    """
    content = read_yaml(path, PRESETS)
    return parse_config({} if content is None else content, str(path))


def schema_text() -> str:
    """Return the JSON schema of a configuration, by which editors complete and check it."""
    schema = Config.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema, indent=1) + "\n"


def with_broker(config: Config, url: str) -> Config:
    """Return `config` with the MQTT broker at `url`.

    Raises
    ------
    ConfigError
        If `url` is not an address of a broker.
    """
    content = config.model_dump(exclude_unset=True)
    content["control"] = content.get("control", {}) | {"url": url}
    return parse_config(content, "and --mqtt")


def with_page(config: Config) -> Config:
    """Return `config` with the page for browsers."""
    return config.model_copy(update={"web": config.web.model_copy(update={"enabled": True})})


def parse_config(content: Any, origin: str) -> Config:
    """Return the settings in `content`, the parsed YAML of `origin`.

    Raises
    ------
    ConfigError
        If a key or value is wrong: one line for each.
    """
    if not isinstance(content, dict):
        msg = f"config {origin} must be a mapping of settings, found {type(content).__name__}"
        raise ConfigError(msg)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(fault_lines(error, origin))) from error
