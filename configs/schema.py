"""The settings of one session, typed and validated: one YAML file describes one session.

Unknown keys, wrong types and wrong units are refused with one line each that names the key.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from configs.errors import InputError

PRESETS = Path(__file__).parent
MAX_STEPS = 50
"""Steps of one picture; the consistency samplers' own grid has no more."""
TRAINING_STEPS = 1000
"""Noise levels that the published diffusion models were trained on."""
OWN_SIZES = {"embedded": 128, "sdxl-turbo": 512, "sd15-few-step": 512, "unclip": 768}
"""Width and height in pixels of the pictures that each generator was trained on."""
Positive = Annotated[float, Field(gt=0)]


class ConfigError(InputError):
    """A configuration that cannot be used; the message has one line for each fault."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamSettings(_Settings):
    """Which EEG stream to read. Whatever is given must match; what is left out may be anything."""

    name: str | None = None
    type: str = "EEG"
    source_id: str | None = None
    host: str | None = None
    unit: Literal["microvolts", "millivolts", "volts", "nanovolts"] | None = None
    """Unit of the samples, where the stream's metadata do not tell it."""
    channels: tuple[str, ...] | None = None
    """Channels to use, in this order; all EEG channels when left out."""
    timeout_s: Positive = 10.0
    stall_s: Positive = 0.5
    """Silence after which the amplifier is reported as stalled."""


class MarkerSettings(_Settings):
    """Which marker stream to read and what its labels mean."""

    name: str | None = None
    type: str = "Markers"
    source_id: str | None = None
    channel: str | None = None
    """Which channel, or column of a CSV, holds the labels; needed where several do."""
    required: bool = True
    classes: dict[str, str] = Field(default_factory=dict)
    """Plain labels that stand for a set of pictures, for example ``{"1": "house", "2": "face"}``."""
    offset_s: float = 0.0
    """Time from a marker's stamp to the light on the screen, as measured; added to every stamp."""


class FilterSettings(_Settings):
    """Causal filters, applied in this order, then decimation."""

    highpass_hz: Positive | None = 0.3
    lowpass_hz: Positive | None = 40.0
    notch_hz: Positive | None = None
    order: Annotated[int, Field(ge=1, le=8)] = 2
    rate_hz: Positive | None = None
    """Rate to reduce to; must divide the stream's. Kept when left out."""

    @model_validator(mode="after")
    def _ordered(self) -> FilterSettings:
        if self.highpass_hz is not None and self.lowpass_hz is not None and self.highpass_hz >= self.lowpass_hz:
            msg = f"highpass_hz ({self.highpass_hz:g}) must be below lowpass_hz ({self.lowpass_hz:g})"
            raise ValueError(msg)
        if self.rate_hz is not None and self.lowpass_hz is not None and self.lowpass_hz > self.rate_hz / 2:
            msg = f"lowpass_hz ({self.lowpass_hz:g}) must be at most half of rate_hz ({self.rate_hz:g})"
            raise ValueError(msg)
        return self


class WindowSettings(_Settings):
    """The part of the EEG around a stimulus that is decoded, in seconds after onset."""

    start_s: float = 0.0
    stop_s: float = 0.8
    baseline_s: tuple[float, float] | None = None
    """Interval whose mean is subtracted (folded into the map), for example ``[-0.2, 0.0]``."""

    @model_validator(mode="after")
    def _ordered(self) -> WindowSettings:
        if self.stop_s <= self.start_s:
            msg = f"stop_s ({self.stop_s:g}) must be after start_s ({self.start_s:g})"
            raise ValueError(msg)
        if self.baseline_s is not None and self.baseline_s[0] >= self.baseline_s[1]:
            msg = f"baseline_s {list(self.baseline_s)} must be [start, stop] with start before stop"
            raise ValueError(msg)
        return self

    @property
    def first_s(self) -> float:
        """Start of what must be cut: the window and, where there is one, the baseline before it."""
        return self.start_s if self.baseline_s is None else min(self.start_s, self.baseline_s[0])


class ArtefactSettings(_Settings):
    """What marks an epoch as doubtful; marked epochs are dropped only where `drop` says so."""

    peak_to_peak_uv: Positive | None = 200.0
    flat_uv: Positive | None = 0.1
    drop: bool = False


class PictureSettings(_Settings):
    """Which pictures are shown and searched."""

    set: Literal["drawn", "folder", "things"] = "drawn"
    folder: Path | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _folder_given(self) -> PictureSettings:
        if self.set != "drawn" and self.folder is None:
            msg = f"set {self.set!r} needs a folder"
            raise ValueError(msg)
        return self


class StimulusSettings(_Settings):
    """How pictures are shown."""

    on_s: Positive = 0.1
    onset_to_onset_s: Positive = 0.2
    sequence_length: Annotated[int, Field(ge=1)] = 20
    pause_s: Annotated[float, Field(ge=0)] = 1.0
    """Rest between sequences."""
    targets_per_sequence: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Mean number of rare target pictures a sequence, to keep attention."""
    screen: Annotated[int, Field(ge=1)] | None = None
    """Number of the screen, from 1; the second where there is one when left out."""
    fullscreen: bool = False
    window_size: tuple[int, int] = (800, 800)
    picture_size: Annotated[int, Field(ge=32)] = 512
    photodiode: bool = True
    seed: int = 0

    @model_validator(mode="after")
    def _fits(self) -> StimulusSettings:
        if self.on_s > self.onset_to_onset_s:
            msg = f"on_s ({self.on_s:g}) must not exceed onset_to_onset_s ({self.onset_to_onset_s:g})"
            raise ValueError(msg)
        return self


class FitSettings(_Settings):
    """How the map is fitted."""

    model: str = "perceptogram-drawn"
    pretrained: str = "builtin"
    whiten: bool = True
    alphas: tuple[Positive, ...] = tuple(10.0**k for k in range(9))
    folds: Annotated[int, Field(ge=2)] = 5
    group_by: Literal["picture", "recording"] = "picture"
    average_repeats: bool = False
    low_level_rank: Annotated[int, Field(ge=0, le=1000)] = 0
    """Size of the second map, from EEG to the layout that `render.low_level` starts from; 0 fits none."""
    permutations: Annotated[int, Field(ge=0)] = 1000
    seed: int = 0


class RenderSettings(_Settings):
    """How an embedding becomes a picture; from `adapter` to `download` for the generators other than `embedded`."""

    generator: Literal["embedded", "sdxl-turbo", "sd15-few-step", "unclip"] = "embedded"
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 4
    seed: int = 0
    weights: str | None = None
    """Hub id, local folder or single file; the generator's own default when left out, as for all weights below."""
    adapter: str | None = None
    """IP-Adapter: a file, or ``owner/name/file`` on the hub."""
    adapter_scale: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Weight of the embedding beside the empty prompt."""
    lora: str | None = None
    """Distilled low-rank weights: a file, ``owner/name/file`` on the hub, or ``none``."""
    prompt: Path | None = None
    """File with the embeddings of the empty prompt; by default it is made and kept beside the weights."""
    decoder: Literal["tiny", "full"] = "tiny"
    """``tiny`` is TAESD; ``full`` is the model's own autoencoder, eighteen times the work."""
    decoder_weights: str | None = None
    sampler: Literal["euler", "euler-ancestral", "lcm", "tcd", "dpm++", "unipc"] | None = None
    """The one that the weights were distilled for when left out."""
    timesteps: tuple[Annotated[int, Field(ge=0, lt=TRAINING_STEPS)], ...] | None = None
    """Noise level of each step, falling, for weights that were distilled for others than the sampler's own; `steps` is
    then how many there are."""
    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Fresh noise in each step of ``tcd``."""
    guidance: Annotated[float, Field(ge=0, le=20)] = 7.5
    """`unclip`: weight of the condition; 1 and less means no guidance and half the work."""
    noise_level: Annotated[int, Field(ge=0, lt=1000)] = 0
    """`unclip`: noise on the embedding, of which the network is told."""
    size: Annotated[int, Field(ge=64, le=1024, multiple_of=64)] | None = None
    """Width and height of a picture; what the generator was trained on when left out. See `pixels`."""
    pictures: Annotated[int, Field(ge=1, le=8)] = 1
    """Pictures of one embedding from as many seeds, side by side: what they share is what was decoded."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Arithmetic; ``auto`` is float16 on a GPU and float32 on a CPU."""
    compile: bool = False
    """Compile the network: minutes at the start for some percent of each step."""
    download: bool = False
    """Whether weights that are not on this machine are downloaded."""
    reuse_above: Annotated[float, Field(gt=0, le=1)] | None = None
    """Cosine with the embedding of the last picture from which that picture is shown again; the frame says so."""
    warm_above: Annotated[float, Field(gt=0, le=1)] | None = None
    """Cosine from which painting starts from the last picture and takes half of the steps; the frame says so."""
    low_level: bool = False
    """Start from the layout that the bundle's low-level map sees (`fit.low_level_rank`) in place of pure noise."""
    low_level_strength: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the steps that is taken from there: 1 takes all, and the layout only tints the noise."""
    remote: bool = False
    """Paint on other machines, by ``perceptogram worker``, through the broker at ``control.url``."""

    @property
    def pixels(self) -> int:
        """Width and height of a picture: `size`, or the generator's own."""
        return OWN_SIZES[self.generator] if self.size is None else self.size

    @model_validator(mode="after")
    def _painted(self) -> RenderSettings:
        if self.generator == "embedded" and self.size not in (None, OWN_SIZES["embedded"]):
            msg = (
                f"size: the embedded generator paints {OWN_SIZES['embedded']} pixels; leave it out (given: {self.size})"
            )
            raise ValueError(msg)
        if self.timesteps is None:
            return self
        if self.generator == "embedded":
            msg = "timesteps: the embedded generator has its own; leave them out, or choose another generator"
            raise ValueError(msg)
        if len(self.timesteps) != self.steps:
            msg = f"timesteps are those of {len(self.timesteps)} steps: set steps to that number (given: {self.steps})"
            raise ValueError(msg)
        if any(later >= earlier for earlier, later in pairwise(self.timesteps)):
            msg = f"timesteps must fall, from noise to picture (given: {list(self.timesteps)})"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _spared(self) -> RenderSettings:
        if self.warm_above is not None and self.generator == "embedded":
            msg = "warm_above: the embedded generator always starts from noise; choose another generator"
            raise ValueError(msg)
        if self.low_level and self.generator == "embedded":
            msg = "low_level: the embedded generator always starts from noise; choose another generator"
            raise ValueError(msg)
        if self.low_level and self.warm_above is not None:
            msg = "low_level and warm_above both say what painting starts from; choose one"
            raise ValueError(msg)
        if self.warm_above is not None and self.steps < 2:
            msg = f"warm_above spares half of the steps and needs at least 2 (steps: {self.steps})"
            raise ValueError(msg)
        if self.remote and (self.warm_above is not None or self.reuse_above is not None):
            msg = "reuse_above and warm_above look at the last picture; with remote, others' pictures come between"
            raise ValueError(msg)
        return self


class EvidenceSettings(_Settings):
    """How single trials add up."""

    accumulate: bool = True
    """Average the repeats of one picture."""
    abstain_below: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Confidence under which no picture is shown."""
    decide_above: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Confidence from which a picture needs no more repeats."""
    neighbours: Annotated[int, Field(ge=1, le=20)] = 5
    adapt: bool = False
    """Follow slow changes of the embeddings' mean and size; only where a session's pictures are varied."""
    adapt_trials: Annotated[float, Field(ge=10)] = 100
    """How many trials that remembers."""


class DisplaySettings(_Settings):
    """The window that the experimenter and the audience see."""

    enabled: bool = True
    screen: Annotated[int, Field(ge=1)] = 1
    """Number of the screen, from 1."""
    fullscreen: bool = False
    size: tuple[int, int] = (1280, 720)
    frame_rate_hz: Positive = 30.0
    patterns: bool = False
    """Show on small heads which EEG pattern the percept stands for; a fit with this set puts the maps in the bundle."""


class ControlSettings(_Settings):
    """The MQTT broker through which other programs listen and steer; none when `url` is left out.

    User and password come from the environment (``PERCEPTOGRAM_MQTT_USER``, ``PERCEPTOGRAM_MQTT_PASSWORD``) or from the
    file `credentials`, never from here.
    """

    url: Annotated[str, Field(pattern=r"^mqtts?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$")] | None = None
    """``mqtt://host:port`` or, with TLS, ``mqtts://host:port``; port 1883 or 8883 when left out."""
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


class Config(_Settings):
    """Everything that one session needs to know."""

    name: str = "session"
    simulated: bool = False
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


def load_config(path: str | Path) -> Config:
    """Return the settings in a YAML file; a bare preset name such as ``demo`` means the file shipped under that name.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not YAML, or has a wrong key or value: one line for each.
    """
    file = Path(path)
    if not file.is_file() and file.parent == Path() and (PRESETS / f"{file.stem}.yaml").exists():
        file = PRESETS / f"{file.stem}.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        presets = ", ".join(sorted(p.stem for p in PRESETS.glob("*.yaml")))
        msg = f"cannot read config {path}: {error.strerror or error}; give a YAML file or a preset: {presets}"
        raise ConfigError(msg) from error
    except yaml.YAMLError as error:
        msg = f"config {path} is not valid YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    return parse_config({} if content is None else content, str(path))


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
        lines = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"]) or "config"
            what = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
            given = "" if fault["type"] in ("extra_forbidden", "value_error") else f" (given: {fault['input']!r})"
            lines.append(f"config {origin}: {key}: {what}{given}")
        raise ConfigError("\n".join(lines)) from error
