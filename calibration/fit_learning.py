"""What is learned from trials: the map, its predictions held out, and what pictures are told apart by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration.data.kept import Kept, content_key
from calibration.data.sources import EarlierBundle, memory_for
from calibration.data.targets import Targets, cache_folder
from calibration.data.trials import Trials
from calibration.fit_answers import HeldOutAnswers
from calibration.fit_identification import Identified, fit_identification
from calibration.model.earlier import Earlier
from calibration.model.examples import Examples, Layout, make_examples
from calibration.model.linear_model import LARGE, HeldOut, Mapping, cross_validate, fit_map
from calibration.progress import Progress, part_of
from calibration.scores.enough import check_enough
from configs.schema import Config, FitSettings


@dataclass(frozen=True)
class Trained:
    """What was learned from trials, not yet scored.

    Attributes
    ----------
    trials, targets
        What was recorded, and what it should decode to.
    examples
        The trials with their targets and groups.
    layout
        Where the window lies in the epochs.
    mapping
        The fitted map, step by step.
    held_out
        Predictions of every trial by a map that never saw its group.
    told_by
        What pictures are told apart by, and likewise its predictions.
    answers
        What the held-out maps say before the window ends.
    sources
        What people should know of the earlier bundles that the map learned from too, one line each; None without any.
    """

    trials: Trials
    targets: Targets
    examples: Examples
    layout: Layout
    mapping: Mapping
    held_out: HeldOut
    told_by: Identified
    answers: HeldOutAnswers
    sources: tuple[str, ...] | None


def learn(
    trials: Trials,
    targets: Targets,
    config: Config,
    progress: Progress | None = None,
    sources: Sequence[EarlierBundle] = (),
) -> Trained:
    """Fit a map on trials, and maps that leave some of them out.

    Parameters
    ----------
    trials, targets, config, progress, sources
        As for `calibration.fit.fit_trials`.

    Raises
    ------
    FitError
        If there are too few trials, only one picture or class, or a channel that never moves.
    """
    check_enough(trials, config)
    if not config.markers.classes:
        targets = targets.scaled_by(trials.names)
    examples, settings = make_examples(trials, targets, config), config.fit
    layout = Layout.of(trials.times_s, config.window.start_s, config.window.baseline_s)
    earlier, told = earlier_of(sources, trials, config, targets)
    answers = HeldOutAnswers(examples, settings.seed)
    kept = _kept(examples, layout, settings) if not earlier else None
    held_out = cross_validate(examples, layout, settings, part_of(progress, "cross-validate"), earlier, answers, kept)

    def tell(share: float) -> None:
        if progress is not None:
            progress("map", share, 1)

    mapping = fit_map(examples, layout, settings, earlier, (), tell, None if kept is None else kept.part("all"))
    fitted, part = (mapping, held_out), part_of(progress, "identification")
    told_by = fit_identification(examples, layout, config, targets.gallery, targets.space, fitted, part)
    if kept is not None:
        kept.forget()
    return Trained(trials, targets, examples, layout, mapping, held_out, told_by, answers, told if earlier else None)


def _kept(examples: Examples, layout: Layout, settings: FitSettings) -> Kept | None:
    """Return where choices are kept, so that a fit that was interrupted goes on; None of few trials."""
    if examples.samples.nbytes < LARGE:
        return None
    arrays = (examples.samples, examples.targets, examples.teaches)
    names = examples.names.tolist(), examples.groups.tolist()
    key = content_key(arrays, names, repr(layout), settings.model_dump(mode="json"))
    return Kept(cache_folder() / "fits" / key)


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
