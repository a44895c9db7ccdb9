"""Windows and the weights that each is decoded with: without electrodes that are out, aligned or not.

Which weights are due to a window is a matter of its samples and its onset, not of when anything was computed, so a
replay decides alike. Aligned once, the windows of onsets behind the last sample of those that the alignment is
estimated from are decoded by the aligned map, and all before them by the bundle's.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.decoding.alignment import Alignment, Calibrated, DriftCorrection, align
from realtime.decoding.bundle import Bundle, BundleError
from realtime.decoding.missing_channels import MissingChannels, channel_covariance
from realtime.epoching.epochs import WITHOUT, Epoch, Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import EvidenceSettings
    from realtime.decoding.early_answers import EarlyAnswer
    from realtime.decoding.identification_head import Columns
    from realtime.decoding.linear_decoder import LinearDecoder, WindowWeights

_INTERPOLATED = " (interpolated by spherical splines: the bundle, of an earlier version, does not tell what they share)"
_UNKNOWN = (
    "evidence.adapt: {} compares the EEG with how the calibration's varied, which is not known of a bundle of an "
    "earlier version, or under another reference: fit it again, or leave evidence.adapt out"
)


@dataclass(frozen=True, eq=False)
class _Map:
    """A map, whole and without some electrodes, and the alignment in it; None for the bundle's own."""

    weights: MissingChannels
    alignment: Alignment | None = None


class WindowDecoder:
    """Opens, feeds and closes windows, each with the weights that are due to it.

    Parameters
    ----------
    settings
        Whether and how to adapt to a session without labels.
    bundle
        What was calibrated.
    decoder
        Sums the windows.
    columns
        Which of its columns are what.

    Attributes
    ----------
    how_guessed
        What is said beside that electrodes are guessed, where they are interpolated.
    correction
        What was corrected in the window that was closed last: `shift` and `scale` of embeddings and `eeg`, see
        `realtime.decoding.alignment.Alignment`; None for nothing.

    Raises
    ------
    BundleError
        If the bundle does not know how the calibration's EEG varied, and that is to be compared.
    """

    def __init__(self, settings: EvidenceSettings, bundle: Bundle, decoder: LinearDecoder, columns: Columns) -> None:
        self._columns, self._decoder = columns, decoder
        covariance, channels = channel_covariance(bundle), bundle.spec.channels
        gallery, adapt = bundle.candidates, settings.adapt

        def without_electrodes(whole: WindowWeights) -> MissingChannels:
            return MissingChannels(whole, bundle.mean_input, covariance, channels)

        known = bundle.covariance is not None or bundle.memory is not None
        self.how_guessed = "" if known else _INTERPOLATED
        self._plain = _Map(without_electrodes(decoder.whole))
        self._aligned: Future[_Map] | None = None
        self._from_timestamp = np.inf
        self._first: dict[int, Epoch] = {}
        self._wanted = 0
        self._follow: DriftCorrection | None = None
        self._follow_painted: DriftCorrection | None = None
        self.correction: dict[str, float] | None = None
        if adapt == "follow":
            length = None if bundle.confidence is None else bundle.confidence.length
            self._follow = DriftCorrection(gallery.mean, gallery.std, length, settings.adapt_trials)
            if columns.identification:
                painted = bundle.gallery
                self._follow_painted = DriftCorrection(painted.mean, painted.std, None, settings.adapt_trials)
        elif adapt != "none":
            eeg, embeddings = adapt in ("eeg", "both"), adapt in ("embeddings", "both")
            varied = bundle.window_covariance if eeg else np.eye(len(channels))
            if varied is None:
                raise BundleError(_UNKNOWN.format(adapt))
            calibrated = Calibrated(bundle.mean_input, varied, *_scale(bundle, columns))
            self._wanted = settings.adapt_windows

            def aligned(windows: NDArray[np.float32]) -> _Map:
                found = align(windows, decoder.whole, calibrated, eeg=eeg, embeddings=embeddings)
                return _Map(without_electrodes(found.folded(decoder.whole)), found)

            self._align = aligned

    def make_room(self) -> None:
        """Begin to make the memory of weights without electrodes."""
        self._plain.weights.make_room()

    def prepare(self, missing: tuple[str, ...]) -> None:
        """Begin to make the weights without these electrodes, which are out from now on."""
        for each in self._maps():
            each.weights.prepare(missing)

    def open(self, key: int, onset: float) -> None:
        """Begin a window of a stimulus at `onset`; where its map is still being made, `close` makes up for it."""
        self._decoder.open(key)
        if onset > self._from_timestamp and self._aligned is not None and self._aligned.done():
            self._decoder.use(key, self._aligned.result().weights.without(()))

    def add(self, key: int, event: Samples) -> None:
        """Add samples to a window; one whose electrodes are out from its first sample on is decoded without them."""
        if event.without and not event.first:
            for each in self._maps():
                if self._decoder.used(key) is each.weights.without(()):
                    self._decoder.use(key, each.weights.without(event.without))
                    break
        self._decoder.add(key, event.first, event.samples)

    def close(self, key: int, epoch: Epoch, *, learn: bool = True) -> NDArray[np.float32]:
        """Return what a window came to, corrected, ``[dims]``, and columns behind the embedding's.

        Parameters
        ----------
        key
            The decoder's number of the window.
        epoch
            The window.
        learn
            Whether anything is to be learned from it.
        """
        opened = self._decoder.used(key)
        whole = self._decoder.close(key)
        if self._wanted:
            weights, alignment = self._weights_due(epoch), self._due(epoch).alignment
            if weights is not opened:
                whole = self._decoder.finish(weights.apply(epoch.samples))
            self.correction = None if alignment is None else alignment.record()
            if learn and not epoch.flags:
                self._collect(epoch)
        return self._followed(whole, learn=learn)

    def answer(self, key: int, epoch: Epoch, early: EarlyAnswer) -> NDArray[np.float32]:
        """Return what an open window is answered, corrected as `close` does; nothing is learned from it.

        Parameters
        ----------
        key
            The decoder's number of the window.
        epoch
            The window so far.
        early
            How it is answered.
        """
        weights = self._weights_due(epoch) if self._wanted else self._decoder.used(key)
        return self._followed(self._decoder.finish(early.decode(weights, epoch.samples)), learn=False)

    def _followed(self, whole: NDArray[np.float32], *, learn: bool) -> NDArray[np.float32]:
        """Correct what a window came to in place, where slow changes are followed, and return it."""
        if self._follow is not None:
            compared, painted = self._columns.compared(whole), self._columns.painted(whole)
            compared[:] = self._follow.correct(compared, learn=learn)
            if self._follow_painted is not None:
                painted[:] = self._follow_painted.correct(painted, learn=learn)
            self.correction = {"shift": self._follow.shift, "scale": self._follow.scale}
        return whole

    def take_back(self, trial: int) -> None:
        """Forget a trial that turned out wrong, if nothing has been made of it yet."""
        self._first.pop(trial, None)

    def _maps(self) -> tuple[_Map, ...]:
        known = self._aligned is not None and self._aligned.done()
        return (self._plain, self._aligned.result()) if known and self._aligned is not None else (self._plain,)

    def _due(self, epoch: Epoch) -> _Map:
        """Return the map of a window, waited for where it is still being made."""
        if self._aligned is None or epoch.onset <= self._from_timestamp:
            return self._plain
        return self._aligned.result()

    def _weights_due(self, epoch: Epoch) -> WindowWeights:
        """Return what a window is decoded with: the map that is due to it, without the electrodes that were out."""
        without = tuple(flag[len(WITHOUT) :] for flag in epoch.flags if flag.startswith(WITHOUT))
        return self._due(epoch).weights.without(without)

    def _collect(self, epoch: Epoch) -> None:
        """Keep a window, if more are wanted; the last one begins the alignment, beside the session."""
        if self._aligned is not None:
            return
        self._first[epoch.trial] = epoch
        if len(self._first) < self._wanted:
            return
        self._from_timestamp = max(each.last_timestamp for each in self._first.values())
        windows = np.stack([each.samples for each in self._first.values()])
        self._first.clear()
        beside = ThreadPoolExecutor(1, thread_name_prefix="alignment")
        self._aligned = beside.submit(self._align, windows)
        beside.shutdown(wait=False)


def _scale(bundle: Bundle, columns: Columns) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and spread of the columns that are aligned, up to the last of them; 0 for what is left alone."""
    outputs = [(bundle.gallery.mean, bundle.gallery.std)]
    if bundle.identification is not None:
        layout = np.zeros(columns.low_level, np.float32)
        outputs += [(layout, layout), (bundle.candidates.mean, bundle.candidates.std)]
    mean, std = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    return mean, std
