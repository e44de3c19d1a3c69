"""Level, limiting, fades, comfort noise and dither: the last steps before samples are bytes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from deident.audio import Floats, Pcm

LEVEL_DB = -26.0  # RMS of every released snippet, dB re full scale (ITU-T P.56 test material is kept there)
SILENCE_DB = -75.0  # below this RMS there is nothing to raise
MIN_OFFSET = 0.05  # of the RMS; a smaller one is 0.01 dB of it
QUIET_FRAME = 160  # samples, 10 ms
HELD = 3  # frames before and after what is not quiet
COMFORT = 10.0 ** (-70.0 / 20.0)  # RMS of the noise in place of quiet, re full scale: 44 dB below speech
_RAMP = ((np.arange(QUIET_FRAME) + 0.5) / QUIET_FRAME).astype(np.float32)
KNEE = 0.7  # full scale = 1; peaks above it are bent, not cut


def rms(samples: Floats) -> float:
    """Compute the root mean square of (samples,); 0 for none."""
    return float(np.sqrt(np.dot(samples, samples) / max(1, samples.size)))


def remove_offset(samples: Floats) -> Floats:
    """Remove the DC offset of (samples,); the same array where it is 26 dB below the sound."""
    if not samples.size:
        return samples
    offset = samples.mean(dtype=np.float32)
    return samples if abs(offset) <= MIN_OFFSET * rms(samples) else samples - offset


def set_level(samples: Floats) -> Floats:
    """Remove the DC offset and set the level to `LEVEL_DB`, within ±1.

    Peaks over 0.7 are bent smoothly towards 1 (a memoryless limiter), so a high crest factor costs a little
    distortion and never a click. Sound below -75 dB keeps its level.

    Parameters
    ----------
    samples : (samples,) float32

    Returns
    -------
    (samples,) float32
    """
    if not samples.size:
        return samples
    out: Floats = samples - samples.mean(dtype=np.float32)
    loudness = rms(out)
    if loudness > 10.0 ** (SILENCE_DB / 20.0):
        out *= np.float32(10.0 ** (LEVEL_DB / 20.0) / loudness)
    return bend_peaks(out)


def bend_peaks(samples: Floats) -> Floats:
    """Limit (samples,) to ±1: unchanged up to 0.7, above it KNEE + (1 - KNEE)·tanh of the excess."""
    if max(samples.max(initial=0.0), -samples.min(initial=0.0)) <= KNEE:
        return samples
    at = np.flatnonzero(np.abs(samples) > KNEE)
    loud = samples[at]
    bent = KNEE + (1.0 - KNEE) * np.tanh((np.abs(loud) - np.float32(KNEE)) / (1.0 - KNEE))
    out = samples.copy()
    out[at] = np.copysign(bent.astype(np.float32), loud)
    return out


def replace_quiet(samples: Floats, rng: np.random.Generator) -> Floats:
    """Replace the quiet parts of (samples,) by comfort noise, the same for everybody.

    Background noise between words identifies the room and the microphone. Frames 30 dB below the loud ones are
    quiet, and those within 3 dB of the quietest, so that a noisy room goes too (but none within 18 dB of the
    loud ones). Speech keeps 30 ms at its edges and fades over 10 ms.
    """
    frames = samples.size // QUIET_FRAME
    if frames < 2:
        return samples
    rows = samples[: frames * QUIET_FRAME].reshape(frames, QUIET_FRAME)
    level_db = 10.0 * np.log10(
        np.einsum("ij,ij->i", rows, rows) / np.float32(QUIET_FRAME) + np.float32(1e-12)
    )
    low, high = frames // 20, frames - 1 - frames // 20
    ranked = np.partition(level_db, (low, high))
    floor, loud = float(ranked[low]), float(ranked[high])
    open_ = level_db > min(max(floor + 3.0, loud - 30.0), loud - 18.0)
    near = np.zeros(frames + 2 * HELD + 1, dtype=np.bool_)
    for shift in range(2 * HELD + 1):
        near[shift : shift + frames] |= open_
    near[HELD + frames] = near[HELD + frames - 1]  # nothing fades at the end
    gain, following = (near[at : at + frames].astype(np.float32) for at in (HELD, HELD + 1))
    steps = following - gain
    quiet = np.flatnonzero((gain == 0.0) | (steps != 0.0))
    noise = random_bytes(quiet.size * QUIET_FRAME + 1, rng).view(np.int8).astype(np.float32)
    noise *= np.float32(COMFORT / 104.5)  # an RMS of 104.5: int8, two added
    out: Floats = samples.copy()
    left = rows[quiet] * (gain[quiet, None] + steps[quiet, None] * _RAMP)
    left += (noise[1:] + noise[:-1]).reshape(-1, QUIET_FRAME)
    out[: rows.size].reshape(rows.shape)[quiet] = left
    out[rows.size :] *= gain[-1]  # less than a frame, and the fade lies on it
    return out


def fade(samples: Floats, length: int) -> Floats:
    """Fade (samples,) in and out over `length` samples by a raised cosine."""
    length = min(length, samples.size // 2)
    if not length:
        return samples
    ramp = _rise(length)
    out: Floats = samples.copy()
    out[:length] *= ramp
    out[-length:] *= ramp[::-1]
    return out


@lru_cache(maxsize=8)
def _rise(length: int) -> Floats:
    """Make the first half of a raised cosine, (length,)."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)


def round_to_pcm(samples: Floats, rng: np.random.Generator) -> Pcm:
    """Quantise samples to PCM 16 with triangular high-pass dither of ±1 step.

    The dither is the difference of successive uniform numbers of 8 bits: triangular like the sum of two
    independent ones, with its power where the ear is least sensitive. Rounding is to nearest, so there is none
    of the half step of DC that truncation leaves.

    Parameters
    ----------
    samples : (samples,) float32
        Within ±1.
    rng : numpy.random.Generator

    Returns
    -------
    (samples,) int16

    References
    ----------
    Lipshitz, Wannamaker & Vanderkooy (1992).
    """
    noise = random_bytes(samples.size + 1, rng).astype(np.float32)
    scaled: Floats = samples * np.float32(256.0 * 32_766.0)  # the dither never reaches the rails
    scaled += noise[1:]
    scaled -= noise[:-1]
    scaled *= np.float32(1.0 / 256.0)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32_768.0, 32_767.0, out=scaled)
    return scaled.astype(np.int16)


def random_bytes(count: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw (count,) uniform bytes in a third of the time of `rng.bytes`."""
    size, bits = -(-count // 8), rng.bit_generator
    words: npt.NDArray[np.uint64]
    if isinstance(bits, np.random.MT19937):  # its own numbers have 32 bits
        words = rng.integers(0, 2**64, size, dtype=np.uint64)
    else:
        words = bits.random_raw(size)
    return words.astype("<u8", copy=False).view(np.uint8)[:count]
