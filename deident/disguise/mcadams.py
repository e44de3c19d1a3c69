"""The McAdams coefficient, the baseline of the field: pole angles of linear prediction raised to a power."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Audio, Doubles, at_work_rate
from deident.disguise.base import Method, bounded, ordered
from deident.dsp.lpc import BLOCK, burg, from_poles, poles, refilter

ORDER = 20
SIZE = RATE // 50  # 20 ms
HOP = RATE // 100
REAL = 1e-8  # a root found with a smaller imaginary part is real


@dataclass(frozen=True)
class McAdamsVoice:
    """The drawn power of the pole angles."""

    alpha: float = field(repr=False)


@dataclass(frozen=True)
class McAdams(Method[McAdamsVoice]):
    """Raise the angles of the poles of linear prediction to a drawn power: formants move, pitch and timing stay.

    The second baseline of the VoicePrivacy challenges, B2: frames of 20 ms every 10 ms under square-root Hann windows,
    linear prediction of order 20 by Burg's method, pole angles φ to φ^α, and the residual through the new filter. It is
    here to compare with: whoever knows the method can undo it. B2 leaves out the first and the last 10 ms and divides
    by the peak; this keeps both ends, and divides only where the peak would exceed full scale.

    Parameters
    ----------
    alpha : (lower, upper), 0.3 to 0.95
        Range of the drawn power α. Default (0.5, 0.9).

    Raises
    ------
    SettingError
        For a setting out of its range.

    References
    ----------
    Patino et al. (2021), Speaker anonymisation using the McAdams coefficient.
    """

    keeps_time = True
    alpha: tuple[float, float] = (0.5, 0.9)

    def __post_init__(self) -> None:
        ordered("alpha", self.alpha, 0.3, 0.95)  # near 1 would be no disguise

    def draw(self, rng: np.random.Generator) -> McAdamsVoice:
        """Draw a voice; see `Disguise.draw`."""
        return McAdamsVoice(float(rng.uniform(*self.alpha)))

    def apply(self, audio: Audio, voice: McAdamsVoice, rng: np.random.Generator) -> Audio:
        """Disguise one snippet; see `Disguise.apply`."""
        samples = at_work_rate(audio)
        padded = np.zeros(-(-len(samples) // HOP) * HOP + 2 * HOP, dtype=np.float64)
        padded[HOP : HOP + len(samples)] = samples
        out = np.zeros_like(padded)
        frames = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP]
        for start in range(0, len(frames), BLOCK):
            block = frames[start : start + BLOCK] * _WINDOW
            loud = block.any(axis=1)  # silence has no poles
            block[loud] = turn_poles(block[loud], voice.alpha)
            block *= _WINDOW
            rows = out[start * HOP : (start + len(block) + 1) * HOP].reshape(-1, HOP)
            rows[:-1] += block[:, :HOP]
            rows[1:] += block[:, HOP:]
        return Audio(bounded(out[HOP : HOP + len(samples)]), RATE)


def turn_poles(frames: Doubles, alpha: float) -> Doubles:
    """Raise the angle of every complex pole, 0 to π, of (frames, size) to a power."""
    filters = burg(frames, ORDER)
    re, im = poles(filters)
    angle = np.arctan2(np.abs(im), re)
    radius = np.hypot(re, im)
    turned = np.minimum(angle**alpha, np.pi)
    is_complex = np.abs(im) > REAL
    new_re = np.where(is_complex, radius * np.cos(turned), re)
    new_im = np.where(is_complex, np.copysign(radius * np.sin(turned), im), 0.0)
    return refilter(frames, filters, from_poles(new_re, new_im))


def _window() -> npt.NDArray[np.float64]:
    hann = np.hanning(SIZE)
    window: npt.NDArray[np.float64] = np.sqrt(hann * HOP / hann.sum())
    return window


_WINDOW = _window()
