"""From recordings to a bundle: the map that runs, and the scores of maps that never saw what they are scored on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from calibration.data.reading import read_windows
from calibration.data.sources import EarlierBundle, told_of
from calibration.data.targets import Targets, make_targets
from calibration.data.trials import Trials, why_none
from calibration.fit_learning import Trained, learn
from calibration.fit_low_level import fit_low_level
from calibration.fit_scores import score_fit
from calibration.heads.identification import Judged
from calibration.maps.attributes import shown_attributes
from calibration.maps.filtered_patterns import make_patterns
from calibration.model.choosing import said
from calibration.model.examples import Examples, Layout, grouping
from calibration.model.linear_model import HeldOut, Mapping
from calibration.model.noise import shared_by_channels, use_of
from calibration.model.remembering import remember
from calibration.progress import Progress, part_of
from calibration.scores.enough import enough_a_fold
from calibration.statistics import rounded
from configs.schema import Config
from configs.version import software_version
from realtime.decoding.alignment import mean_covariance
from realtime.decoding.bundle import Bundle
from realtime.processes.apart import output_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """A bundle, and what it was made of, for the report.

    Attributes
    ----------
    bundle
        What a live session needs.
    trials
        What was learned from.
    examples
        Those trials with their targets and groups.
    layout
        Where the window lies in the epochs.
    mapping
        The fitted map, step by step.
    held_out
        Predictions of every trial by a map that never saw its group.
    judged
        Likewise, of whatever pictures are told apart by.
    """

    bundle: Bundle
    trials: Trials
    examples: Examples
    layout: Layout
    mapping: Mapping
    held_out: HeldOut
    judged: Judged


def fit(recordings: Sequence[str | Path], config: Config, progress: Progress | None = None) -> Bundle:
    """Return the bundle fitted on recordings; `fit_recordings` also returns what it was made of.

    Parameters
    ----------
    recordings
        Files of one stream, in the order in which they were made.
    config
        Everything about window, filters, markers, pictures and fit.
    progress
        Called with the stage, how many of its parts are done and of how many.
    """
    return fit_recordings(recordings, config, progress).bundle


def fit_recordings(
    recordings: Sequence[str | Path],
    config: Config,
    progress: Progress | None = None,
    sources: Sequence[EarlierBundle] = (),
) -> Fit:
    """Fit a map on recordings and score it by cross-validation.

    Parameters
    ----------
    recordings
        Files of one stream, with markers.
    config
        The session's settings.
    progress
        Told what is being done, how many parts of it are done, and of how many.
    sources
        Earlier bundles to start from, as `calibration.data.sources.load_sources` returns them.

    Raises
    ------
    FitError
        If the recordings do not hold what a map can be learned from.
    """
    windows = read_windows(recordings, config, part_of(progress, "read"))
    trials, earlier = windows.trials, windows.pre_stimulus
    targets = make_targets(config, trials.names)
    null: Trials | None = None
    if len(earlier):
        # A picture whose own window was refused was not learned from and has no target.
        null = earlier.take(np.isin(earlier.names, targets.gallery.names))
    else:
        logger.warning("no baseline score: %s", why_none(earlier, config))
    result = fit_trials(trials, targets, config, null, progress, sources)
    result.bundle.provenance["recordings"] = [Path(path).name for path in recordings]
    if not config.display.patterns:
        return result
    attributes = shown_attributes(config, trials.names, progress=part_of(progress, "attributes"))
    patterns = make_patterns(trials, result.examples, result.layout, result.held_out, attributes, config.fit)
    return replace(result, bundle=replace(result.bundle, patterns=patterns))


def fit_trials(
    trials: Trials,
    targets: Targets,
    config: Config,
    null: Trials | None = None,
    progress: Progress | None = None,
    sources: Sequence[EarlierBundle] = (),
) -> Fit:
    """Fit a map on trials and score it by cross-validation.

    Parameters
    ----------
    trials
        What was recorded, the whole window and its baseline.
    targets
        What each trial should decode to.
    config
        The session's settings.
    null
        The pre-stimulus windows of the same stimuli, where they were cut.
    progress, sources
        As for `fit_recordings`.

    Raises
    ------
    FitError
        If there are too few trials, only one picture or class, or a channel that never moves.
    """
    config = enough_a_fold(config, len(np.unique(trials.names)))
    trained = learn(trials, targets, config, progress, sources)
    examples, layout, mapping = trained.examples, trained.layout, trained.mapping
    scores, confidence, early = score_fit(trained, config, null, progress)
    low_level = None
    if config.fit.low_level_rank:
        low_level, scores["low_level"] = fit_low_level(examples, layout, config, part_of(progress, "layouts"))
    covariance, use = shared_by_channels(examples, layout, mapping.chain)
    taught, head = examples.samples[examples.teaches], trained.told_by.head
    if head is not None:  # what missing channels cost is asked of what is compared and scored
        use = use_of(head.weights, taught)
    mean_input = taught.mean(axis=0, dtype=np.float64).astype(np.float32)
    bundle = Bundle(
        spec=trials.spec,
        filters=trials.filters,
        rate_hz=trials.rate_hz,
        first_s=float(trials.times_s[0]),
        weights=mapping.map.weights,
        bias=mapping.map.bias,
        mean_input=mean_input,
        window_covariance=mean_covariance(taught, mean_input),
        space=targets.space,
        gallery=replace(trained.targets.gallery, likelihood=mapping.comparison.likelihood),
        confidence=confidence,
        classes=dict(config.markers.classes),
        fit=_record(trained, config, sources),
        scores=scores,
        provenance=_provenance(config),
        simulated=trials.simulated,
        low_level=low_level,
        identification=head,
        participant=config.participant,
        covariance=covariance,
        use=use,
        memory=remember(examples, trials.recordings, layout, mapping, config) if config.fit.memory else None,
        early=early,
    )
    return Fit(bundle, trials, examples, layout, mapping, trained.held_out, trained.told_by.judged)


def _record(trained: Trained, config: Config, sources: Sequence[EarlierBundle]) -> dict[str, Any]:
    """Return what the bundle says of how its map was fitted and chosen."""
    mapping, held_out, settings = trained.mapping, trained.held_out, config.fit
    prior = None
    if mapping.prior is not None:
        prior = mapping.prior.record() | told_of(mapping.prior.sources(), sources, trained.sources or ())
    record: dict[str, Any] = rounded(
        {
            "alpha": mapping.alpha,
            "alphas": mapping.alphas.tolist(),
            "errors": mapping.errors.tolist(),
            "choose": settings.choose,
            "chosen": None if mapping.choice is None else str(mapping.choice),
            "chosen_by_fold": said(held_out.choices),
            "told_apart_by": trained.told_by.record,
            "identification": [] if mapping.choice is None else mapping.choice.scores.tolist(),
            "compared": str(mapping.comparison),
            "compared_by_fold": [each.form for each in held_out.comparisons],
            "alpha_by_fold": list(held_out.alphas),
            "folds": len(held_out.alphas),
            "group_by": grouping(config),
            "marker_offset_s": config.markers.offset_s,
            "window": config.window.model_dump(mode="json"),
            "whiten": settings.whiten,
            "average_repeats": settings.average_repeats,
            "seed": settings.seed,
            "n_trials": len(trained.trials),
            "n_taught": int(trained.examples.teaches.sum()),
            "prior": prior,
        }
    )
    return record


def _provenance(config: Config) -> dict[str, Any]:
    return {
        "software": f"perceptogram-live {software_version()}",
        "commit": output_of(("git", "rev-parse", "HEAD"), Path(__file__).parent),  # of the checkout it runs from
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json", exclude={"pictures": {"folder"}, "display": True}),
    }
