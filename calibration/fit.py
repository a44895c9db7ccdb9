"""From recordings to a bundle: the map that runs, and the scores of maps that never saw what they are scored on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.sources import EarlierBundle, memory_for, told_of
from calibration.data.targets import Targets, make_targets
from calibration.data.trials import Trials, check_channels, read_windows, why_none
from calibration.errors import FitError, RidgeError
from calibration.fit_answers import HeldOutAnswers
from calibration.fit_identification import Identified, fit_identification
from calibration.fit_low_level import fit_low_level
from calibration.heads.identification import Judged, judge
from calibration.maps.attributes import shown_attributes
from calibration.maps.filtered_patterns import make_patterns
from calibration.model.choosing import said
from calibration.model.earlier import Earlier
from calibration.model.examples import FEWEST_TRIALS, Examples, Layout, counts, grouping, make_examples
from calibration.model.linear_model import HeldOut, Mapping, cross_validate, fit_map
from calibration.model.noise import shared_by_channels, use_of
from calibration.model.remembering import remember
from calibration.progress import Progress, part_of
from calibration.scores.confidence import calibration_error, fit_confidence, reliability_curve
from calibration.scores.permutation_null import Null, null_of_cross_validation
from calibration.scores.picture_null import null_of_pictures
from calibration.scores.retrieval import FoldGallery
from calibration.scores.summary import headline, summarise
from calibration.statistics import rounded
from configs.schema import Config, FitSettings
from realtime.decoding.alignment import mean_covariance
from realtime.decoding.bundle import Bundle
from realtime.decoding.gallery import Gallery
from realtime.processes.apart import output_of

logger = logging.getLogger(__name__)

_FEWEST_OF_A_CLASS = 5
_BASELINE_PERMUTATIONS = 200
"""Size of the null on pre-stimulus windows: enough for the width of an interval; no p-value is made of it."""


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
    _check(trials, config)
    if not config.markers.classes:
        targets = targets.scaled_by(trials.names)
    examples = make_examples(trials, targets, config)
    window = config.window
    layout = Layout.of(trials.times_s, window.start_s, window.baseline_s)
    earlier, told = earlier_of(sources, trials, config, targets)
    answers = HeldOutAnswers(examples, config.fit.seed)
    held_out = cross_validate(examples, layout, config.fit, part_of(progress, "cross-validate"), earlier, answers)
    mapping = fit_map(examples, layout, config.fit, earlier)
    gallery, settings = targets.gallery, config.fit
    told_by = fit_identification(
        examples, layout, config, gallery, targets.space, (mapping, held_out), part_of(progress, "identification")
    )
    judged = told_by.judged
    own = np.array([judged.gallery.numbers[str(name)] for name in judged.names])
    # Labels exchanged in the new trials alone say nothing of a map that also learned from others: then the predictions'
    # own null is taken, as wide as that of a cross-validation can be.
    fitted_anew = settings.permutations > 0 and not earlier and told_by.head is None
    chance = _null(examples, own, judged.gallery, layout, settings, held_out) if fitted_anew else None
    found = summarise(
        judged.predicted, judged.names, judged.folds, judged.gallery, settings.permutations, settings.seed, chance
    )
    if null is not None:
        found |= baseline_scores(null, targets, config, part_of(progress, "baseline"), told_by)
    found |= counts(trials)
    alike = judged.gallery
    if told_by.head is None:
        # A confidence is of one way to compare, that of the bundle, whatever single folds chose.
        form = mapping.comparison.form
        alike = FoldGallery.of(gallery, [each.likelihoods.get(form) for each in held_out.comparisons])
    held = (judged.predicted, own, judged.folds, alike, settings.seed)
    curve = reliability_curve(*held)
    found |= rounded({"calibration_error": calibration_error(curve), "reliability_curve": curve})
    early, by_time = answers.judged(
        trials.names,
        held_out.folds,
        gallery if told_by.head is not None else alike,
        float(trials.times_s[0]),
        trials.rate_hz,
        settings.seed,
    )
    found |= rounded({"by_time": by_time})
    low_level = None
    if settings.low_level_rank:
        low_level, found["low_level"] = fit_low_level(examples, layout, config, part_of(progress, "layouts"))
    covariance, use = shared_by_channels(examples, layout, mapping.chain)
    taught = examples.samples[examples.teaches]
    if told_by.head is not None:  # what missing channels cost is asked of what is compared and scored
        use = use_of(told_by.head.weights, taught)
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
        gallery=replace(gallery, likelihood=mapping.comparison.likelihood),
        confidence=fit_confidence(*held),
        classes=dict(config.markers.classes),
        fit=rounded(
            {
                "alpha": mapping.alpha,
                "alphas": mapping.alphas.tolist(),
                "errors": mapping.errors.tolist(),
                "choose": settings.choose,
                "chosen": None if mapping.choice is None else str(mapping.choice),
                "chosen_by_fold": said(held_out.choices),
                "told_apart_by": told_by.record,
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
                "n_trials": len(trials),
                "n_taught": int(examples.teaches.sum()),
                "prior": None
                if mapping.prior is None
                else mapping.prior.record() | told_of(mapping.prior.sources(), sources, told),
            }
        ),
        scores=found,
        provenance=_provenance(config),
        simulated=trials.simulated,
        low_level=low_level,
        identification=told_by.head,
        participant=config.participant,
        covariance=covariance,
        use=use,
        memory=remember(examples, trials.recordings, layout, mapping, config) if settings.memory else None,
        early=early,
    )
    return Fit(bundle, trials, examples, layout, mapping, held_out, judged)


def earlier_of(
    sources: Sequence[EarlierBundle], trials: Trials, config: Config, targets: Targets
) -> tuple[tuple[Earlier, ...], tuple[str, ...]]:
    """Return what earlier bundles remember, fit for these trials, and what people should know of it, one line each.

    Parameters
    ----------
    sources
        The bundles.
    trials, config, targets
        The new trials, their settings, and what they should decode to.

    Raises
    ------
    FitError
        If one cannot be a source, with what differs.
    """
    found, lines = [], []
    for each in sources:
        memory, line = memory_for(each, trials, config, targets.space)
        found.append(Earlier(each.name, memory, own=each.may_be_of(config.participant)))
        lines += [] if line is None else [line]
    return tuple(found), tuple(lines)


def baseline_scores(
    null: Trials,
    targets: Targets,
    config: Config,
    progress: Callable[[int, int], None] | None = None,
    told_by: Identified | None = None,
) -> dict[str, Any]:
    """Return the scores of the same procedure on pre-stimulus windows: what chance looks like in these data.

    Parameters
    ----------
    null
        Trials of the pre-stimulus windows, each named by the picture that follows it.
    targets
        The embeddings of those pictures.
    config
        The settings of the fit itself.
    progress
        Called with how many folds are done and of how many.
    told_by
        What tells pictures apart; the embedding when left out.
    """
    if len(null) < FEWEST_TRIALS:
        return {"baseline_n_trials": len(null)}
    window, gallery = config.window.pre_stimulus(null.rate_hz), targets.gallery
    settings = config.fit.moved(-config.window.stop_s)
    layout, chance = Layout.of(null.times_s, window.start_s, window.baseline_s), None
    examples = make_examples(null, targets, config)
    try:
        held_out = cross_validate(examples, layout, settings, progress)
        compared = FoldGallery.of(gallery, [each.likelihood for each in held_out.comparisons])
        judged = Judged(held_out.predicted, null.names, held_out.folds, compared, gallery.names)
        if told_by is not None and told_by.targets is not None:
            judged = judge(examples, told_by.targets, layout, settings, held_out)
        elif settings.permutations:
            own = np.array([gallery.names.index(str(name)) for name in null.names])
            few = settings.model_copy(update={"permutations": min(settings.permutations, _BASELINE_PERMUTATIONS)})
            chance = _null(examples, own, compared, layout, few, held_out, anew=False)
    except RidgeError:
        return {"baseline_n_trials": len(null)}
    found = summarise(judged.predicted, judged.names, judged.folds, judged.gallery, 0, settings.seed, chance)
    name, value = headline(found)
    return {
        f"baseline_{name}": value,
        f"baseline_{name}_interval": found.get(f"{name}_interval"),
        "baseline_window_s": [float(null.times_s[0]), 0.0],
        "baseline_n_trials": len(null),
    }


def _null(
    examples: Examples,
    own: NDArray[np.int64],
    gallery: Gallery,
    layout: Layout,
    settings: FitSettings,
    held_out: HeldOut,
    *,
    anew: bool = True,
) -> Null:
    """Return what the same cross-validation gives without information: between classes, or among many pictures."""
    if gallery.told_apart:
        return null_of_cross_validation(examples, own, gallery, layout, settings)
    return null_of_pictures(examples, own, gallery, layout, settings, held_out, anew=anew)


def _check(trials: Trials, config: Config) -> None:
    if len(trials) < FEWEST_TRIALS:
        msg = f"{len(trials)} usable trials ({len(trials.refused)} refused): at least {FEWEST_TRIALS} are needed"
        raise FitError(msg)
    names, sizes = np.unique(trials.names, return_counts=True)
    classes = tuple(dict.fromkeys(config.markers.classes.values()))
    missing = [name for name in classes if name not in names]
    if missing:
        msg = f"no trial of class {', '.join(map(repr, missing))}: markers.classes maps a label that never came"
        raise FitError(msg)
    if len(names) < 2:
        msg = f"all {len(trials)} trials show {str(names[0])!r}: a map needs at least two pictures or classes"
        raise FitError(msg)
    if classes and sizes.min() < _FEWEST_OF_A_CLASS:
        rarest = str(names[sizes.argmin()])
        msg = f"only {sizes.min()} trials of class {rarest!r}: at least {_FEWEST_OF_A_CLASS} are needed"
        raise FitError(msg)
    check_channels(trials)


def _provenance(config: Config) -> dict[str, Any]:
    try:
        release = version("perceptogram-live")
    except PackageNotFoundError:
        release = "unknown"
    return {
        "software": f"perceptogram-live {release}",
        "commit": output_of(("git", "rev-parse", "HEAD"), Path(__file__).parent),  # of the checkout it runs from
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json", exclude={"pictures": {"folder"}, "display": True}),
    }
