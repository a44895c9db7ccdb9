"""Scores of a fit, on trials that the scored maps never saw, and of the same procedure on pre-stimulus windows."""

from __future__ import annotations

from typing import Any

from calibration.data.targets import Targets
from calibration.data.trials import Trials
from calibration.errors import RidgeError
from calibration.fit_identification import Identified
from calibration.fit_learning import Trained
from calibration.heads.identification import Judged, judge
from calibration.model.examples import FEWEST_TRIALS, Examples, Layout, counts, make_examples
from calibration.model.linear_model import HeldOut, cross_validate
from calibration.progress import Part, Progress, part_of
from calibration.scores.confidence import calibration_error, fit_confidence, reliability_curve
from calibration.scores.permutation_null import Null, null_of_cross_validation
from calibration.scores.picture_null import null_of_pictures
from calibration.scores.retrieval import FoldGallery
from calibration.scores.summary import headline, summarise
from calibration.statistics import rounded
from configs.schema import Config, FitSettings
from realtime.decoding.early_answers import EarlyAnswers
from realtime.decoding.evidence import ConfidenceModel

_BASELINE_PERMUTATIONS = 200
"""Size of the null on pre-stimulus windows: enough for the width of an interval; no p-value is made of it."""


def score_fit(
    trained: Trained, config: Config, null: Trials | None = None, progress: Progress | None = None
) -> tuple[dict[str, Any], ConfidenceModel | None, EarlyAnswers | None]:
    """Return the scores of a fit, ready to be written as JSON, how far to believe an answer, and earlier answers.

    Parameters
    ----------
    trained
        What was learned.
    config
        Its settings.
    null, progress
        As for `calibration.fit.fit_trials`.
    """
    trials, settings, told_by, held_out = trained.trials, config.fit, trained.told_by, trained.held_out
    judged, gallery = told_by.judged, trained.targets.gallery
    # Labels exchanged in the new trials alone say nothing of a map that also learned from others: then the predictions'
    # own null is taken, as wide as that of a cross-validation can be.
    fitted_anew = settings.permutations > 0 and trained.sources is None and told_by.head is None
    chance = None
    if fitted_anew:
        part = part_of(progress, "permutation null")
        chance = _null(trained.examples, judged, trained.layout, settings, held_out, progress=part)
    found = _summary(judged, settings, chance, settings.permutations)
    if null is not None:
        found |= baseline_scores(null, trained.targets, config, part_of(progress, "baseline"), told_by)
    found |= counts(trials)
    alike = judged.gallery
    if told_by.head is None:
        # A confidence is of one way to compare, that of the bundle, whatever single folds chose.
        form = trained.mapping.comparison.form
        alike = FoldGallery.of(gallery, [each.likelihoods.get(form) for each in held_out.comparisons])
    held = (judged.predicted, judged.own, judged.folds, alike, settings.seed)
    curve = reliability_curve(*held)
    early, by_time = trained.answers.judged(
        trials.names,
        held_out.folds,
        alike if told_by.head is None else gallery,
        float(trials.times_s[0]),
        trials.rate_hz,
        settings.seed,
    )
    found |= rounded({"calibration_error": calibration_error(curve), "reliability_curve": curve, "by_time": by_time})
    return found, fit_confidence(*held), early


def baseline_scores(
    null: Trials,
    targets: Targets,
    config: Config,
    progress: Part | None = None,
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
            few = settings.model_copy(update={"permutations": min(settings.permutations, _BASELINE_PERMUTATIONS)})
            chance = _null(examples, judged, layout, few, held_out, anew=False)
    except RidgeError:
        return {"baseline_n_trials": len(null)}
    found = _summary(judged, settings, chance, 0)
    name, value = headline(found)
    return {
        f"baseline_{name}": value,
        f"baseline_{name}_interval": found.get(f"{name}_interval"),
        "baseline_window_s": [float(null.times_s[0]), 0.0],
        "baseline_n_trials": len(null),
    }


def _summary(judged: Judged, settings: FitSettings, chance: Null | None, permutations: int) -> dict[str, Any]:
    return summarise(judged.predicted, judged.names, judged.folds, judged.gallery, permutations, settings.seed, chance)


def _null(
    examples: Examples,
    judged: Judged,
    layout: Layout,
    settings: FitSettings,
    held_out: HeldOut,
    *,
    anew: bool = True,
    progress: Part | None = None,
) -> Null:
    """Return what the same cross-validation gives without information: between classes, or among many pictures."""
    own, gallery = judged.own, judged.gallery
    if gallery.told_apart:
        return null_of_cross_validation(examples, own, gallery, layout, settings)
    return null_of_pictures(examples, own, gallery, layout, settings, held_out, anew=anew, progress=progress)
