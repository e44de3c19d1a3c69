"""Families of plain statistics of a few seconds of speech, which tell speakers apart.

Each family is one vector a snippet. They are kept apart, so that an attacker can weigh them and a report
can say which of them still leaks. None depends on the level of the snippet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.fft

from deident.audio import RATE, Floats
from deident.dsp.stft import frame_view

SIZE, HOP, BINS = 512, 160, 257
FRAME_RATE = RATE // HOP
MELS = 40
CEPSTRA = 24
SPEECH_RANGE_DB = 35.0
SHORTEST = SIZE + 12 * HOP  # shorter snippets are padded: 0.15 s say nothing, but must not break a run


@cache
def _hann(size: int) -> Floats:
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)).astype(np.float32)


@cache
def mel_matrix(bands: int = MELS, low_hz: float = 60.0, high_hz: float = 7_600.0) -> Floats:
    """(bins, bands) triangles, equally wide on the mel scale of O'Shaughnessy (1987), each of sum one."""
    mel = np.linspace(np.log1p(low_hz / 700.0), np.log1p(high_hz / 700.0), bands + 2)
    hz = 700.0 * np.expm1(mel)
    at = np.arange(BINS)[:, None] * (RATE / SIZE)
    rise, fall = (at - hz[:-2]) / (hz[1:-1] - hz[:-2]), (hz[2:] - at) / (hz[2:] - hz[1:-1])
    weight = np.maximum(0.0, np.minimum(rise, fall))
    return np.asarray(weight / np.maximum(weight.sum(0), 1e-9), np.float32)


@cache
def _dct_matrix() -> Floats:
    basis = np.cos(np.pi * np.outer(np.arange(MELS) + 0.5, np.arange(CEPSTRA)) / MELS)
    return np.asarray(basis * np.sqrt(2.0 / MELS), np.float32)


@dataclass(frozen=True, eq=False)
class Frames:
    """The time-frequency views that the families share, each computed once and only if asked for."""

    samples: Floats

    @cached_property
    def power(self) -> Floats:
        """(frames, bins), relative to the loud frames of the snippet."""
        framed = frame_view(self.samples, SIZE, HOP) * _hann(SIZE)
        spectrum = scipy.fft.rfft(framed)
        power: Floats = spectrum.real**2 + spectrum.imag**2
        loud = np.percentile(power.sum(1), 95)
        return power / max(float(loud), 1e-12)

    @cached_property
    def level_db(self) -> Floats:
        return np.asarray(10.0 * np.log10(self.power.sum(1) + np.float32(1e-9)))

    @cached_property
    def speech(self) -> npt.NDArray[np.bool_]:
        """Frames within the range of speech below the loudest; all where there are few."""
        mask = self.level_db > -SPEECH_RANGE_DB
        return mask if mask.sum() >= 8 else np.ones_like(mask)

    @cached_property
    def log_mel(self) -> Floats:
        return np.asarray(np.log(self.power @ mel_matrix() + np.float32(1e-9)))

    @cached_property
    def cepstra(self) -> Floats:
        return self.log_mel @ _dct_matrix()

    @cached_property
    def deltas(self) -> Floats:
        return _slope(self.cepstra)

    @cached_property
    def pitch(self) -> tuple[Floats, Floats]:
        """F0 in Hz and its strength (0 to 1), a value a frame. Boersma (1993): the autocorrelation over
        that of the window, here of 40 ms and from the spectrum below 4 kHz.
        """
        padded = np.pad(self.samples, (64, 64 + HOP))
        framed = frame_view(padded, 640, HOP)[: len(self.power)] * _hann(640)
        correlation = _autocorrelation(framed)
        normal = correlation / np.maximum(correlation[:, :1], 1e-12) / _window_correlation()
        lags = np.arange(16, 134)
        # A longer lag is never a better period than the shortest that explains the frame.
        scored = normal[:, lags[0] : lags[-1] + 1] - 0.1 * np.log2(lags / 16.0)
        best = lags[np.argmax(scored, 1)]
        row = np.arange(len(best))
        before, peak, after = normal[row, best - 1], normal[row, best], normal[row, best + 1]
        bend = before - 2.0 * peak + after
        shift = np.where(bend < -1e-6, 0.5 * (before - after) / np.minimum(bend, -1e-6), 0.0)
        f0 = (RATE / 2.0) / (best + np.clip(shift, -0.5, 0.5))
        return f0.astype(np.float32), np.clip(peak, 0.0, 1.0).astype(np.float32)

    @cached_property
    def voiced(self) -> npt.NDArray[np.bool_]:
        """Frames with a clear pitch and level, smoothed over three."""
        mask = (self.pitch[1] > 0.55) & (self.level_db > -25.0)
        mask[1:-1] = (mask[:-2].astype(int) + mask[1:-1] + mask[2:]) >= 2
        return mask


def _autocorrelation(framed: Floats) -> Floats:
    """(frames, 140): of what lies below 4 kHz, at lags of 1/8000 s; 1024 points keep those from wrapping."""
    spectrum = scipy.fft.rfft(framed, 1024)[:, :257]
    return np.asarray(scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:, :140])


@cache
def _window_correlation() -> Floats:
    shape = _autocorrelation(_hann(640)[None])
    return np.asarray(np.maximum(shape / shape[:, :1], 1e-3))


def _slope(values: Floats, reach: int = 4) -> Floats:
    """Regression slope over ±reach frames (Furui, 1986)."""
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    steps = range(1, reach + 1)
    total = sum(k * (padded[reach + k :][: len(values)] - padded[reach - k :][: len(values)]) for k in steps)
    return np.asarray(total, np.float32) / np.float32(2 * sum(k * k for k in steps))


def _moments(values: Floats) -> Floats:
    """Mean, log deviation and skewness of each column."""
    mean, deviation = values.mean(0), values.std(0) + 1e-4
    standard = (values - mean) / deviation
    skewness = (standard * standard * standard).mean(0)  # a power is 70 times as slow
    return np.concatenate((mean, np.log(deviation), skewness))


def _runs(mask: npt.NDArray[np.bool_]) -> Floats:
    """Lengths, in seconds, of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return ((edges[1::2] - edges[::2]) / FRAME_RATE).astype(np.float32)


def _percentiles(values: Floats, *percents: float) -> Floats:
    """(percents, ...) percentiles along the last axis, as `numpy.percentile` has them, in a fraction of its time."""
    ordered = np.sort(values, axis=-1)
    at = np.array(percents) / 100.0 * (values.shape[-1] - 1)
    low = np.floor(at).astype(np.intp)
    below, above = ordered[..., low], ordered[..., np.minimum(low + 1, values.shape[-1] - 1)]
    return np.moveaxis(below + (above - below) * (at - low), -1, 0)


def _spread_of(values: Floats, empty: float = 0.0) -> Floats:
    """Percentiles 10, 50 and 90, mean and standard deviation."""
    values = values if values.size else np.array([empty], np.float32)
    return np.concatenate((_percentiles(values, 10, 50, 90), [values.mean(), values.std()]))


def spectrum(frames: Frames) -> Floats:
    """Long-term average spectrum of speech and of its voiced part, and its shape by percentiles."""
    speech = frames.log_mel[frames.speech]
    voiced = frames.log_mel[frames.voiced] if frames.voiced.sum() >= 8 else speech
    average = np.log(np.exp(speech).mean(0))
    parts = [average, voiced.mean(0), *_percentiles(np.ascontiguousarray(speech.T), 20, 80)]
    return np.concatenate([part - part.mean() for part in parts])


def cepstra(frames: Frames) -> Floats:
    """Moments of the mel cepstra, over speech and over voiced speech."""
    speech = frames.cepstra[frames.speech]
    voiced = frames.cepstra[frames.voiced] if frames.voiced.sum() >= 8 else speech
    return np.concatenate((_moments(speech)[1:], _moments(voiced)[1:]))


def covariance(frames: Frames) -> Floats:
    """Joint movement of the cepstra: the correlations among the first sixteen."""
    speech = frames.cepstra[frames.speech][:, :17]
    standard = (speech - speech.mean(0)) / (speech.std(0) + 1e-4)
    correlations: Floats = standard.T @ standard / len(standard)
    return correlations[np.triu_indices(17, 1)]


def dynamics(frames: Frames) -> Floats:
    """Extent, speed and regularity of the movement of the spectral envelope."""
    speech, cepstrum, delta = frames.speech, frames.cepstra[:, :16], frames.deltas[:, :16]
    acceleration = _slope(delta)
    centred = cepstrum - cepstrum.mean(0)
    energy = (centred**2).mean(0) + 1e-6
    lags = [(centred[lag:] * centred[:-lag]).mean(0) / energy for lag in (1, 2, 4, 7, 12)]
    moving = np.concatenate((delta[speech], acceleration[speech]), axis=1)
    speed = np.sqrt((delta**2).sum(1))[speech]
    return np.concatenate(
        (
            np.log(moving.std(0) + 1e-4),
            np.log(np.abs(moving).mean(0) + 1e-4),
            *lags,
            *_modulation(centred[:, :10]).T,
            np.log(_percentiles(speed, 10, 50, 90) + 1e-4),
        )
    )


def _modulation(tracks: Floats, bands: int = 8) -> Floats:
    """(tracks, bands) log power of slow changes, 0.7 to 25 Hz in even log steps, relative to their sum."""
    size = 256
    padded = tracks if len(tracks) >= size else np.pad(tracks, ((0, size - len(tracks)), (0, 0)))
    framed = frame_view(np.ascontiguousarray(padded.T), size, size // 2)  # last axis only
    starts = range(0, len(padded) - size + 1, size // 2)
    framed = np.stack([padded[k : k + size] for k in starts]) * _hann(size)[:, None]
    power = (np.abs(scipy.fft.rfft(framed, axis=1)) ** 2).mean(0)
    edges = np.round(np.geomspace(0.7, 25.0, bands + 1) * size / FRAME_RATE).astype(int)
    rows = [power[a : max(b, a + 1)].mean(0) for a, b in pairwise(edges)]
    logs = np.log(np.stack(rows, axis=1) + 1e-6)
    return np.asarray(logs - logs.mean(1, keepdims=True), np.float32)


def pitch(frames: Frames) -> Floats:
    """Level, range and movement of the fundamental frequency, and how periodic the voice is."""
    f0, strength = frames.pitch
    voiced = frames.voiced if frames.voiced.sum() >= 8 else np.ones_like(frames.voiced)
    log_f0, sure = np.log(f0[voiced]), strength[voiced]
    together = voiced[1:] & voiced[:-1]
    step = np.diff(np.log(f0))[together]
    step = step[np.abs(step) < 0.2] if (np.abs(step) < 0.2).sum() >= 4 else np.zeros(4, np.float32)
    second = np.diff(step)
    level = frames.level_db[voiced]
    ties = np.corrcoef(log_f0, level)[0, 1] if log_f0.std() > 1e-6 and level.std() > 1e-6 else 0.0
    movement = np.log(np.array([step.std(), np.abs(step).mean(), np.abs(second).mean()]) + 1e-5)
    return np.concatenate(
        (
            _percentiles(log_f0, 5, 25, 50, 75, 95),
            [log_f0.mean(), log_f0.std(), ties, frames.voiced.mean()],
            movement,
            _percentiles(sure, 10, 50, 90),
            [sure.mean(), sure.std()],
        )
    )


def rhythm(frames: Frames) -> Floats:
    """Timing: voiced and unvoiced segments, pauses, syllables, and the movement of the level."""
    level = frames.level_db
    talking, voiced = level > -30.0, frames.voiced
    smooth = np.convolve(np.maximum(level, -50.0), _hann(12)[1:] / _hann(12).sum(), mode="same")
    peaks = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & (smooth[1:-1] > -22.0)
    at = np.flatnonzero(peaks)
    seconds = max(float(talking.sum()) / FRAME_RATE, 0.1)
    flux = np.sqrt((np.diff(frames.log_mel, axis=0) ** 2).mean(1))
    runs = (_runs(voiced), _runs(talking & ~voiced), _runs(~talking), _runs(talking))
    return np.concatenate(
        (
            *[_spread_of(np.log(run + 0.01), np.log(0.01)) for run in runs],
            [len(run) / seconds for run in runs],
            [at.size / seconds, voiced.mean(), talking.mean()],
            _spread_of(np.log(np.diff(at) / FRAME_RATE) if at.size > 1 else np.zeros(0, np.float32)),
            _spread_of(np.log(flux + 1e-3)),
            _percentiles(level, 5, 10, 25, 50, 75, 90),
            *_modulation(np.stack((np.maximum(level, -50.0), voiced * 10.0), axis=1)).T,
        )
    )


def voice(frames: Frames) -> Floats:
    """Spectral spread and voice quality: centre, width, tilt, flatness, sub-band centres, periodicity."""
    power, speech = frames.power[:, 2:] + np.float32(1e-9), frames.speech
    hz = np.arange(2, BINS, dtype=np.float32) * (RATE / SIZE)
    total = power.sum(1)
    centre = power @ hz / total
    width = np.sqrt(np.maximum(power @ hz**2 / total - centre**2, 1.0))
    flat = np.log(power).mean(1) - np.log(power.mean(1))
    roll = (np.cumsum(power, 1) < 0.85 * total[:, None]).sum(1)
    edges = np.round(np.geomspace(3, 250, 9)).astype(int)
    subs, logs = [], []
    for a, b in pairwise(edges):
        part = power[:, a : b + 1]
        subs.append(part @ hz[a : b + 1] / part.sum(1) / hz[b])
        logs.append(np.log(part.mean(1)))
    tilt = np.stack(logs, axis=1)
    tilt = tilt - tilt.mean(1, keepdims=True)
    shape = np.column_stack((np.log(centre), np.log(width), flat, roll, frames.pitch[1], *subs, tilt))
    voiced = frames.voiced if frames.voiced.sum() >= 8 else speech
    return np.concatenate((_moments(shape[speech]), _moments(shape[voiced])))


def quiet(frames: Frames) -> Floats:
    """Noise under and between the words: the floor of every band, and the spectrum of quiet frames."""
    pairs = np.float32(0.5) * (frames.power[:, 1:257:2] + frames.power[:, 2:257:2])
    logs = np.log(pairs + np.float32(1e-10))
    (floor,) = _percentiles(np.ascontiguousarray(logs.T), 5)
    *levels, soft = _percentiles(frames.level_db, 1, 3, 5, 10, 20, 12)
    quietest = logs[frames.level_db <= soft].mean(0)
    return np.concatenate((floor - floor.mean(), quietest - quietest.mean(), levels))


FAMILIES: dict[str, Callable[[Frames], Floats]] = {
    "spectrum": spectrum,
    "cepstra": cepstra,
    "covariance": covariance,
    "dynamics": dynamics,
    "pitch": pitch,
    "rhythm": rhythm,
    "voice": voice,
    "quiet": quiet,
}


def frames_of(samples: Floats) -> Frames:
    """The frames of a snippet, padded where it is too short to have any."""
    if len(samples) < SHORTEST:
        samples = np.pad(samples, (0, SHORTEST - len(samples)))
    return Frames(np.ascontiguousarray(samples, np.float32))


def statistics(frames: Frames) -> dict[str, Floats]:
    """Every family's vector for one snippet. Silence and fragments give finite vectors too."""
    return {name: family(frames).astype(np.float32) for name, family in FAMILIES.items()}
