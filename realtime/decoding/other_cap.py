"""A bundle on a cap that is not its own: its electrodes are guessed from those of the stream, and the guess folded in.

Electrodes at the same places are taken as they are, whatever they are called. What an electrode elsewhere shows is what
spherical splines make of the bundle's, with the error that they have among the bundle's own. Given that, the best guess
of the bundle's channels is their conditional expectation; where the two references differ, given the stream's channels
about their mean, which no reference changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.decoding.bundle import Bundle, BundleError
from realtime.decoding.linear_decoder import WindowWeights
from realtime.decoding.missing_channels import channel_covariance, mixed_weights, regression
from realtime.electrodes import on_sphere, placed, reference_electrodes, same_place, spline_covariance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from realtime.sources.base import StreamSpec

    Array = NDArray[np.float64]

_LEAST = 1e-9
"""Share of the largest variance below which a direction of the stream's channels says nothing."""
_COMMON = 100.0
"""Variance of what all channels share, as a multiple of a channel's own, where it is not known."""
_FEWEST = 0.5
"""Share of the bundle's electrodes that must be in the stream where it is not known what their loss costs."""
_CHANCE = 0.5


@dataclass(frozen=True)
class OnCap:
    """A bundle made to fit a stream.

    Attributes
    ----------
    bundle
        What decodes the stream.
    text
        One line for people: what was done and what to expect; None where the bundle fits as it is.
    facts
        The same for programs: electrodes that are guessed, the reference, the score and what is expected of it.
    """

    bundle: Bundle
    text: str | None = None
    facts: dict[str, Any] | None = None


def fitted(bundle: Bundle, spec: StreamSpec, least: float) -> OnCap:
    """Return `bundle` as it decodes a stream with other electrodes, or another reference.

    Parameters
    ----------
    bundle
        The calibration.
    spec
        The stream.
    least
        Share of the bundle's score above chance that must be expected, below which the stream is refused.

    Raises
    ------
    BundleError
        In one line, if too little is to be expected, or nothing can be said.
    """
    if not bundle.spec.differences(replace(spec, rate_hz=bundle.spec.rate_hz)):
        return OnCap(bundle)
    own = bundle.spec.channels
    at = [_find(name, spec.channels) for name in own]
    missing = [name for name, place in zip(own, at, strict=True) if place is None]
    other_reference = bool(bundle.spec.reference and spec.reference and bundle.spec.reference != spec.reference)
    given = tuple(spec.channels[place] for place in at if place is not None)
    if missing or other_reference:
        known, _ = placed(spec.channels, on_sphere)
        given += tuple(name for name, found in zip(spec.channels, known, strict=True) if found and name not in given)
    if not given:
        msg = (
            f"the stream does not fit the bundle: no electrode of {_some(spec.channels)} has a known place; "
            f"name them as the electrodes of the bundle are, such as {own[0]}"
        )
        raise BundleError(msg)
    covariance = channel_covariance(bundle)
    at_given = [_find(name, given) for name in own]
    forward, error = _forward(own, given, at_given, covariance)
    referred, exact = _referred(bundle.spec.reference, given, own) if other_reference else (np.eye(len(given)), True)
    if other_reference and exact:
        at_reference = [_find(name, given) for name in reference_electrodes(bundle.spec.reference) or ()]
        absent = [place for place in at_reference if place is not None and place not in at_given]
        forward[absent], error[absent, absent] = 0.0, 0.0
    seen = referred @ (forward @ covariance @ forward.T + error) @ referred.T
    mixing = covariance @ forward.T @ referred.T @ np.linalg.pinv(seen, rcond=_LEAST, hermitian=True) @ referred
    for row, place in enumerate(at_given):
        if place is not None and exact:
            mixing[row] = referred[place]
    if other_reference:
        # Whatever the stream's reference is, it is the same for all of its channels.
        about = np.eye(len(given)) - 1 / len(given)
        seen = about @ seen @ about + _COMMON * np.trace(seen) / len(given)
    share = _share_kept(bundle, covariance, mixing, forward)
    facts = _facts(bundle, spec, missing, other_reference, share)
    _check(facts, least, spec, share, len(own))
    varied = bundle.window_covariance
    if varied is not None:
        varied = None if other_reference else (forward @ varied @ forward.T + error).astype(np.float32)
    folded = replace(_folded(bundle, spec, given, mixing, forward, seen), window_covariance=varied)
    return OnCap(folded, _text(facts), facts)


def _find(name: str, channels: Sequence[str]) -> int | None:
    """Return where among `channels` electrode `name` is, by its name or by that of its place."""
    for key in (str, str.upper, same_place):
        found = [place for place, other in enumerate(channels) if key(other) == key(name)]
        if len(found) == 1:
            return found[0]
    return None


def _forward(
    own: Sequence[str], given: Sequence[str], at: Sequence[int | None], covariance: Array
) -> tuple[Array, Array]:
    """Return what the stream's electrodes show of the bundle's ``[given, own]``, and the error's covariance."""
    forward, variances = np.zeros((len(given), len(own))), np.zeros(len(given))
    for column, place in enumerate(at):
        if place is not None:
            forward[place, column] = 1.0
    extra = [place for place, row in enumerate(forward) if not row.any()]
    if extra:
        kernel = spline_covariance([*own, *(given[place] for place in extra)])
        ours, others = np.arange(len(own)), len(own) + np.arange(len(extra))
        forward[extra] = regression(kernel, others, ours)
        # How far splines err among the bundle's electrodes says how far they err elsewhere.
        errors = np.eye(len(own))
        for row in range(len(own)):
            rest = np.delete(ours, row)
            errors[row, rest] = -regression(kernel, ours[[row]], rest)[0]
        found = np.einsum("ei,ij,ej->e", errors, covariance, errors)
        expected = np.einsum("ei,ij,ej->e", errors, kernel[: len(own), : len(own)], errors)
        across = np.hstack([-forward[extra], np.eye(len(extra))])
        scale = np.median(found / np.maximum(expected, 1e-12))
        variances[extra] = scale * np.einsum("ei,ij,ej->e", across, kernel, across)
    return forward, np.diag(variances)


def _referred(reference: str | None, given: Sequence[str], own: Sequence[str]) -> tuple[Array, bool]:
    """Return what refers the stream's channels to the bundle's reference, and whether it does so exactly.

    Where the reference's electrodes are not in the stream, its channels are taken about their mean.
    """
    electrodes = reference_electrodes(reference)
    at = [_find(name, given) for name in (own if electrodes == () else electrodes or ())]
    places = [place for place in at if place is not None]
    exact = bool(at) and len(places) == len(at)
    referring = np.eye(len(given))
    referring[:, places if exact else slice(None)] -= 1 / (len(places) if exact else len(given))
    return referring, exact


def _share_kept(bundle: Bundle, covariance: Array, mixing: Array, forward: Array) -> float | None:
    """Return the share of the variance of the map's predictions that the guessed channels keep; None where unknown."""
    if bundle.use is None or bundle.covariance is None:
        return None
    # Of a conditional expectation, the covariance with what is expected is its own.
    kept = mixing @ forward @ covariance
    use = bundle.use.astype(np.float64)
    return float(np.clip(np.sum(use * (kept + kept.T) / 2) / np.sum(use * covariance), 0.0, 1.0))


def _facts(
    bundle: Bundle, spec: StreamSpec, missing: Sequence[str], other_reference: bool, share: float | None
) -> dict[str, Any]:
    name = "auc" if "auc" in bundle.scores else "two_way"
    score = bundle.scores.get(name)
    expected = None if share is None or score is None else expected_score(float(score), share)
    return {
        "guessed": list(missing),
        "electrodes": len(spec.channels),
        "reference": [bundle.spec.reference, spec.reference] if other_reference else None,
        "score": name,
        "calibrated": score,
        "expected": None if expected is None else round(expected, 3),
        "interpolated": bundle.covariance is None and bundle.memory is None,
    }


def expected_score(score: float, share: float) -> float:
    """Return the score that predictions have of which a share of the variance is left.

    Regression's predictions correlate with the targets as their standard deviation says, and the score's normal
    deviate is in proportion to the correlation.
    """
    normal = NormalDist()
    return normal.cdf(float(np.sqrt(share)) * normal.inv_cdf(min(max(score, 1e-6), 1 - 1e-6)))


def _check(facts: dict[str, Any], least: float, spec: StreamSpec, share: float | None, n_own: int) -> None:
    """Refuse a stream of which too little is to be expected."""
    guessed, score, expected = facts["guessed"], facts["calibrated"], facts["expected"]
    why = f"the stream does not fit the bundle: channels missing: {_some(guessed)}"
    if expected is not None and score > _CHANCE and expected - _CHANCE < least * (score - _CHANCE):
        msg = (
            f"{why}; from {len(spec.channels)} electrodes {facts['score']} {expected:.2f} instead of {score:.2f} is "
            f"expected, too little (stream.least_of_score {least:g})"
        )
        raise BundleError(msg)
    if (share is None and len(guessed) > _FEWEST * n_own) or (guessed and least >= 1):
        msg = f"{why}; what they cost is not known" if least < 1 else f"{why} (stream.least_of_score {least:g})"
        raise BundleError(msg)


def _text(facts: dict[str, Any]) -> str:
    parts, guessed = [], facts["guessed"]
    if guessed:
        how = "interpolated by spherical splines" if facts["interpolated"] else "guessed from the others"
        parts.append(f"{_some(guessed)} {'is' if len(guessed) == 1 else 'are'} {how}")
    if facts["reference"]:
        parts.append("the reference is {1} instead of {0}".format(*facts["reference"]))
    expected = facts["expected"]
    to_expect = "what to expect is not known"
    if expected is not None:
        to_expect = f"expected {facts['score'].replace('_', '-')} {expected:.2f} instead of {facts['calibrated']:.2f}"
    return f"another cap: {', '.join(parts) or 'other names for the same places'}; {to_expect}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _folded(
    bundle: Bundle, spec: StreamSpec, given: tuple[str, ...], mixing: Array, forward: Array, seen: Array
) -> Bundle:
    """Return the bundle on the stream's channels."""
    given_mean = bundle.mean_input.astype(np.float64) @ forward.T
    whole = mixed_weights(WindowWeights.of(bundle.weights, bundle.bias), bundle.mean_input, given_mean, mixing)
    shape = (len(bundle.weights), len(given), -1)
    others: dict[str, Any] = {"low_level": bundle.low_level, "identification": bundle.identification}
    for name, other in others.items():
        if other is not None:
            own = WindowWeights.of(other.weights, other.bias)
            mixed = mixed_weights(own, bundle.mean_input, given_mean, mixing)
            others[name] = replace(other, weights=mixed.weights.reshape(shape), bias=mixed.bias)
    patterns = bundle.patterns
    if patterns is not None:
        patterns = replace(patterns, maps=(patterns.maps @ forward.T).astype(np.float32))
    return replace(
        bundle,
        spec=replace(bundle.spec, channels=given, reference=spec.reference),
        filters=bundle.filters | {"n_channels": len(given)},
        weights=whole.weights.reshape(shape),
        bias=whole.bias,
        mean_input=given_mean.astype(np.float32),
        **others,
        patterns=patterns,
        memory=None,
        covariance=seen.astype(np.float32),
        use=None,
    )
