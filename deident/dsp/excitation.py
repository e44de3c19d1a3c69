"""What the throat does: pulses and noise, made anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deident.audio import RATE
from deident.dsp.stft import Complexes, Floats

TAPS = 8  # of the band-limited pulse
STEPS = 32  # places between two samples where a pulse may lie
DIRECTIONS = 256  # of a noise phasor


def pulse_train(f0_hz: npt.NDArray[np.floating], hop: int, samples: int, phase: float) -> Floats:
    """(samples,) float32 of band-limited pulses, of power 1 whatever their rate.

    f0_hz : (frames,) the rate of the pulses from sample k·hop to the next.   phase : 0 to 1, of the first."""
    edges = np.arange(len(f0_hz) + 1) * hop
    cycles = np.concatenate(([0.0], np.cumsum(f0_hz.astype(np.float64) * hop / RATE))) + phase
    at = np.interp(np.arange(1, int(cycles[-1]) + 1), cycles, edges)
    out = np.zeros(samples + TAPS, dtype=np.float32)
    at = at[at < samples - 1]
    whole = at.astype(np.intp)
    place = ((at - whole) * STEPS).astype(np.intp)
    height = np.sqrt(RATE / f0_hz[np.minimum(whole // hop, len(f0_hz) - 1)]).astype(np.float32)
    out[whole[:, None] + np.arange(TAPS)] = _PULSES[place] * height[:, None]
    return out[TAPS // 2 - 1 :][:samples]


def noise_spectra(raw: bytes, frames: int, bins: int, power: float) -> Complexes:
    """(frames, bins) complex64 of the given power and a phase from each of the frames·bins bytes of `raw`."""
    turns = np.frombuffer(raw, dtype=np.uint8, count=frames * bins)
    return (_DIRECTIONS * np.float32(np.sqrt(power))).take(turns).reshape(frames, bins)


def dispersion(delays_seconds: npt.NDArray[np.float64], bins: int) -> Complexes:
    """(bins,) complex64 of magnitude 1, whose group delay runs through the given ones from 0 to RATE / 2."""
    at = np.linspace(0.0, 1.0, bins)
    delay = np.interp(at, np.linspace(0.0, 1.0, len(delays_seconds)), delays_seconds)
    step_hz = RATE / 2 / (bins - 1)
    turned: Complexes = np.exp(-2j * np.pi * step_hz * np.cumsum(delay)).astype(np.complex64)
    return turned


def _pulses() -> Floats:
    """(STEPS, TAPS) Hann-windowed sinc, moved right by each step."""
    at = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(STEPS)[:, None] / STEPS
    shape = np.sinc(at) * (0.5 + 0.5 * np.cos(2.0 * np.pi * np.clip(at / TAPS, -0.5, 0.5)))
    return shape.astype(np.float32)


_PULSES = _pulses()
_DIRECTIONS: Complexes = np.exp(2j * np.pi * np.arange(DIRECTIONS) / DIRECTIONS).astype(np.complex64)
