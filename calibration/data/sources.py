"""Earlier bundles that a fit starts from: refused where they do not fit, mapped where that is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.data.trials import Trials
from calibration.errors import FitError
from configs.schema import Config
from realtime.decoding.bundle import FOLLOWING, RATES, Bundle, load_bundle
from realtime.decoding.memory import Memory
from realtime.sources.base import StreamSpec, same_rate
from realtime.spaces import EmbeddingSpace


@dataclass(frozen=True)
class EarlierBundle:
    """A bundle by its folder."""

    name: str
    bundle: Bundle

    @property
    def day(self) -> str:
        """Date on which it was fitted; ``n/a`` where it does not say."""
        return str(self.bundle.provenance.get("created", "n/a"))[:10]

    def may_be_of(self, participant: str | None) -> bool:
        """Return whether the EEG may be of `participant`: unless both have pseudonyms, and other ones."""
        return participant is None or self.bundle.participant in (None, participant)

    def told(self) -> dict[str, object]:
        """Return whose it is, of when, and what it scored, to stand beside what it contributed."""
        bundle = self.bundle
        name = "auc" if "auc" in bundle.scores else "two_way"
        score = {key: bundle.scores.get(f"{name}{end}") for key, end in (("score", ""), ("interval", "_interval"))}
        return {"created": bundle.provenance.get("created"), "participant": bundle.participant} | score


def told_of(
    counted: Sequence[dict[str, object]], sources: Sequence[EarlierBundle], notices: Sequence[str]
) -> dict[str, object]:
    """Return what a bundle says of its sources: what each counts as, of when it is, and what it scored; and notices.

    Parameters
    ----------
    counted
        What each source that was asked counts as, by its ``name``.
    sources
        All that were given.
    notices
        Lines for people.
    """
    about = {each.name: each.told() for each in sources}
    return {"sources": [each | about[str(each["name"])] for each in counted], "notices": list(notices)}


def load_sources(folders: Sequence[str | Path], config: Config) -> tuple[EarlierBundle, ...]:
    """Return the bundles in `folders`; those that remember nothing are refused.

    Raises
    ------
    FitError
        If one has no memory, is given twice, or the settings choose the map by squared error.
    BundleError
        If one cannot be read.
    """
    if folders and config.fit.choose == "error":
        msg = "what earlier bundles are worth is chosen by identification: leave out fit.choose: error, or --from"
        raise FitError(msg)
    found: list[EarlierBundle] = []
    for folder in folders:
        bundle = load_bundle(folder)
        if bundle.memory is None:
            msg = (
                f"{folder} remembers nothing of what its map learned from: fit its recordings again without --no-memory"
            )
            raise FitError(msg)
        found.append(EarlierBundle(str(folder), bundle))
    if len({Path(each.name).resolve() for each in found}) < len(found):
        msg = "the same bundle is given twice as a source: name each once"
        raise FitError(msg)
    return tuple(found)


def memory_for(
    source: EarlierBundle, trials: Trials, config: Config, space: EmbeddingSpace
) -> tuple[Memory, str | None]:
    """Return what a source remembers, as if it had had the new trials' channels, and a line where it had others too.

    Parameters
    ----------
    source
        The earlier bundle.
    trials
        The new ones.
    config
        Their settings.
    space
        What they should decode to.

    Raises
    ------
    FitError
        With one line for each difference that cannot be mapped exactly.
    """
    bundle = source.bundle
    lines = _differences(bundle, trials, config, space)
    memory = bundle.memory
    if lines or memory is None:
        raise FitError("\n".join(f"{source.name} cannot be a source: {line}" for line in lines))
    theirs, ours = bundle.spec.channels, trials.spec.channels
    if theirs == ours:
        return memory, None
    left_out = [name for name in theirs if name not in ours]
    told = f"{source.name}: only the channels that are here now are used, without {', '.join(left_out)}"
    return memory.of_channels([theirs.index(name) for name in ours]), told if left_out else None


def _differences(bundle: Bundle, trials: Trials, config: Config, space: EmbeddingSpace) -> list[str]:
    spec: StreamSpec = trials.spec
    lines = []
    missing = [name for name in spec.channels if name not in bundle.spec.channels]
    if missing:
        lines.append(f"it has no channel {', '.join(missing)}; fewer channels can be mapped exactly, others cannot")
    if bundle.spec.reference and spec.reference and bundle.spec.reference != spec.reference:
        lines.append(f"its reference is {bundle.spec.reference}, here it is {spec.reference}")
    if not same_rate(bundle.rate_hz, trials.rate_hz):
        lines.append(f"its rate is {bundle.rate_hz:g} Hz, here it is {trials.rate_hz:g} Hz")
    for key in sorted((bundle.filters.keys() | trials.filters.keys()) - FOLLOWING):
        theirs, ours = bundle.filters.get(key), trials.filters.get(key)
        if theirs != ours and not (key in RATES and theirs and ours and same_rate(theirs, ours)):
            lines.append(f"its filter {key} is {theirs}, here it is {ours}")
    memory, window = bundle.memory, config.window
    times_s = trials.times_s[trials.times_s >= window.start_s - 0.5 / trials.rate_hz]
    if memory is not None:
        n_before = len(bundle.weights) - memory.window.shape[1]
        first_s = bundle.first_s + n_before / bundle.rate_hz
        if memory.window.shape[1] != len(times_s) or abs(first_s - float(times_s[0])) > 0.5 / trials.rate_hz:
            lines.append(
                f"its window has {memory.window.shape[1]} samples from {first_s:g} s, "
                f"here there are {len(times_s)} from {float(times_s[0]):g} s"
            )
        if memory.baseline_s != window.baseline_s:
            lines.append(f"its window.baseline_s is {memory.baseline_s}, here it is {window.baseline_s}")
    if bundle.space != space:
        lines.append(f"its map leads to {bundle.space}, here it is {space}")
    if bundle.simulated != trials.simulated:
        lines.append(
            "its EEG was simulated, here it is real" if bundle.simulated else "its EEG was real, not simulated"
        )
    return lines
