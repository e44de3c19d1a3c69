"""Where speech is: webrtcvad's decisions and an energy gate over an adaptive noise floor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Audio, Samples, Segment, at_work_rate, segments_of
from deident.errors import SettingError, between

FRAME = RATE // 100  # samples; 10 ms, the resolution of every decision here
VAD_FRAMES = 3  # webrtcvad hears 30 ms at a time
FLOOR_FRAMES = 3_000  # the noise floor is the quiet tenth of 30 s
FLOOR_STEP = 500
ENERGY_FRAMES = 500  # at a time, to stay in the cache
SMOOTH_FRAMES = 5
MAX_GAIN = 300.0
HEARD_DB = (
    -56.0
)  # webrtcvad misses words in recordings whose loud tenth lies below this; they are raised to it

Mask = npt.NDArray[np.bool_]
Detector = Callable[[Samples, int], Mask | Iterable[Segment | tuple[int, int]]]


@dataclass(frozen=True)
class VadSettings:
    """Settings of `find_speech`.

    aggressiveness : webrtcvad's mode, 0 (lets much through) to 3.
    gate_db : how far above the noise floor a frame must be.   range_db : and how far below the loudest
    frames it may be.   min_speech_seconds : shorter bursts are not speech.   min_silence_seconds : shorter
    pauses do not end a segment.   padding_seconds : added on both sides.
    Raises `SettingError` outside the ranges."""

    aggressiveness: int = 2
    gate_db: float = 10.0
    range_db: float = 50.0
    min_speech_seconds: float = 0.1
    min_silence_seconds: float = 0.3
    padding_seconds: float = 0.1

    def __post_init__(self) -> None:
        if type(self.aggressiveness) is not int or self.aggressiveness not in (0, 1, 2, 3):
            raise SettingError(f"expected aggressiveness 0, 1, 2 or 3; got {self.aggressiveness!r:.20}")
        for name, low, high in (
            ("gate_db", 0.0, 60.0),
            ("range_db", 6.0, 120.0),
            ("min_speech_seconds", 0.0, 10.0),
            ("min_silence_seconds", 0.0, 10.0),
            ("padding_seconds", 0.0, 5.0),
        ):
            between(name, getattr(self, name), low, high)


def find_speech(
    audio: Audio, vad: VadSettings | None = None, *, muted: Sequence[Segment] = ()
) -> list[Segment]:
    """The segments of speech in mono audio at 16 kHz, in order, apart from each other.

    Bursts and pauses shorter than the settings allow are smoothed away; segments are padded. On the AMI
    meetings of `benchmarks vad` this finds 94 % of the speech and 29 % of what is none.
    muted : where the recording was silenced, which says nothing of its noise.
    Raises `SettingError` at another rate and `RecordingError` for several channels."""
    vad = vad or VadSettings()
    active = segments_of(activity(at_work_rate(audio), vad, muted), FRAME)
    return join(
        (s for s in join(active, _samples(vad.min_silence_seconds))
         if len(s) >= _samples(vad.min_speech_seconds)),
        pad=_samples(vad.padding_seconds),
        stop=len(audio),
    )  # fmt: skip


def activity(samples: Samples, vad: VadSettings, muted: Sequence[Segment] = ()) -> Mask:
    """(samples // 160,) bool: the frames of (samples,) at 16 kHz that sound like speech, unsmoothed.

    Whatever webrtcvad hears in noise at full level, steady noise does not rise above its own floor."""
    energy = frame_energy_db(samples)
    loud = _above_floor(energy, vad, muted)
    if not loud.any():
        return loud
    gain = 10.0 ** (max(0.0, HEARD_DB - float(np.percentile(energy, 90))) / 20.0)
    return loud & _webrtc_decisions(samples, min(gain, MAX_GAIN), vad.aggressiveness, loud.size)


def above_floor(samples: Samples, vad: VadSettings, muted: Sequence[Segment] = ()) -> Mask:
    """(samples // 160,) bool: the frames of (samples,) at 16 kHz that pass the energy gate.

    Inside speech this alone tells the pauses: asking webrtcvad too leaves as many snippets and no more lost."""
    return _above_floor(frame_energy_db(samples), vad, muted)


def _above_floor(energy: npt.NDArray[np.float32], vad: VadSettings, muted: Sequence[Segment]) -> Mask:
    heard = _heard(muted, energy.size)
    floor = np.full(energy.size, np.inf, dtype=np.float32)
    floor[heard] = noise_floor_db(energy[heard])
    loudest = energy.max(initial=-np.inf)
    loud: Mask = energy > np.maximum(floor + vad.gate_db, loudest - vad.range_db)
    return loud


def _heard(muted: Sequence[Segment], frames: int) -> Mask:
    """(frames,) False where anything is muted, or its silence reaches by smoothing."""
    heard = np.ones(frames, dtype=np.bool_)
    reach = SMOOTH_FRAMES // 2 + 1
    for segment in muted:
        heard[max(0, segment.start // FRAME - reach) : segment.stop // FRAME + reach] = False
    return heard


def frame_energy_db(samples: Samples) -> npt.NDArray[np.float32]:
    """(samples // 160,) energy of the first difference, dB, averaged over 50 ms.

    The difference weighs the bands where speech stands out over rumble and room noise."""
    energy = np.empty(samples.size // FRAME, dtype=np.float32)
    step = np.zeros((min(energy.size, ENERGY_FRAMES), FRAME), dtype=np.float32)
    for first in range(0, energy.size, ENERGY_FRAMES):
        frames = step[: energy.size - first]
        start, stop = max(1, first * FRAME), first * FRAME + frames.size
        np.subtract(
            samples[start:stop], samples[start - 1 : stop - 1], out=frames.reshape(-1)[start - stop :]
        )
        np.einsum("ij,ij->i", frames, frames, out=energy[first : first + len(frames)])
    if not energy.size:
        return energy
    energy /= np.float32(FRAME)
    padded = np.pad(energy, SMOOTH_FRAMES // 2, mode="edge")
    smooth = np.convolve(padded, np.full(SMOOTH_FRAMES, 1.0 / SMOOTH_FRAMES, np.float32), mode="valid")
    level: npt.NDArray[np.float32] = (10.0 * np.log10(smooth + 1e-12)).astype(np.float32)
    return level


def noise_floor_db(energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(frames,) the level that the quiet tenth of the surrounding 30 s stays below."""
    if not energy.size:
        return energy
    if energy.size <= FLOOR_FRAMES:
        return np.full(energy.size, np.percentile(energy, 10), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(energy, FLOOR_FRAMES)[::FLOOR_STEP]
    floors = np.percentile(windows, 10, axis=1)
    centres = np.arange(len(floors)) * FLOOR_STEP + FLOOR_FRAMES // 2
    return np.interp(np.arange(energy.size), centres, floors).astype(np.float32)


def join(
    segments: Iterable[Segment], gap: int = 0, *, pad: int = 0, stop: int | None = None
) -> list[Segment]:
    """Ordered segments padded within 0 and `stop`; those that touch, or are under `gap` apart, become one."""
    joined: list[Segment] = []
    for segment in segments:
        grown = Segment(max(0, segment.start - pad), min(stop or segment.stop + pad, segment.stop + pad))
        if joined and grown.start - joined[-1].stop < max(gap, 1):
            grown = Segment(joined.pop().start, grown.stop)
        joined.append(grown)
    return joined


def ask(detector: Detector, audio: Audio) -> list[Segment]:
    """Speech by somebody else's detector: `detector(samples, rate)` on mono audio.

    It may return a mask, one entry a sample or any coarser regular grid, or (start, stop) pairs in
    samples. Raises `SettingError` for anything else, overlaps and places outside the audio included."""
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
    """Ordered segments, joined where they overlap, cut off at the end of the recording."""
    inside = (Segment(s.start, min(s.stop, samples)) for s in sorted(segments) if s.start < samples)
    joined: list[Segment] = []
    for segment in inside:
        if joined and segment.start < joined[-1].stop:
            segment = Segment(joined[-1].start, max(joined.pop().stop, segment.stop))
        joined.append(segment)
    return joined


def _from_mask(mask: npt.NDArray[Any], samples: int) -> list[Segment]:
    if not mask.size:
        return []
    if mask.size > samples:
        raise SettingError(f"expected of a speech detector a mask of 1 to {samples} entries; got {mask.size}")
    edges = np.linspace(0, samples, mask.size + 1).round().astype(np.int64)
    return [Segment(int(edges[s.start]), int(edges[s.stop])) for s in segments_of(mask.astype(np.bool_))]


def _webrtc_decisions(samples: Samples, gain: float, aggressiveness: int, frames: int) -> Mask:
    # The C module itself: the Python wrapper of the package that builds from source (other packages may
    # bring it along) imports pkg_resources, which setuptools no longer has.
    import _webrtcvad

    size = VAD_FRAMES * FRAME
    count = -(-samples.size // size)
    pcm = np.zeros(count * size, dtype=np.int16)
    scaled = samples * np.float32(32_767.0 * gain)
    pcm[: samples.size] = np.clip(scaled, -32_768.0, 32_767.0, out=scaled)
    raw = pcm.tobytes()
    detector = _webrtcvad.create()
    _webrtcvad.init(detector)
    _webrtcvad.set_mode(detector, aggressiveness)
    hears = _webrtcvad.process
    step = 2 * size
    heard = [hears(detector, RATE, raw[at : at + step], size) for at in range(0, len(raw), step)]
    return np.repeat(np.array(heard, dtype=np.bool_), VAD_FRAMES)[:frames]


def _samples(seconds: float) -> int:
    return round(seconds * RATE)
