"""What others do, to compare with: nothing here is imported by the library."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


def b2(samples: npt.NDArray[np.floating], alpha: float, order: int = 20) -> npt.NDArray[np.float64]:
    """The McAdams baseline of the VoicePrivacy challenges, frame by frame at 16 kHz, before its last division
    by the peak.

    Follows the description in Patino et al. (2021): `librosa.lpc`, roots, pole angles to the power alpha,
    `scipy.signal.lfilter` for the residual and for the new filter, overlap-add."""
    import librosa
    from scipy.signal import lfilter

    tiny = np.finfo(np.float32).eps
    size, hop = 320, 160
    hann = np.hanning(size)
    window = np.sqrt(hann * hop / hann.sum())
    samples = samples.astype(np.float64) + tiny
    out = np.zeros(len(samples))
    for start in range(hop, len(samples) - size + 1, hop):
        frame = samples[start : start + size] * window
        prediction = librosa.lpc(frame + tiny, order=order)
        poles = np.roots(prediction)
        upper = poles.imag > 0
        angle = np.clip(np.angle(poles[upper]) ** alpha, 0.0, np.pi)
        new = np.abs(poles[upper]) * np.exp(1j * angle)
        moved = np.concatenate((poles[poles.imag == 0], new, new.conj()))
        residual = lfilter(prediction, [1.0], frame)
        out[start : start + size] += window * lfilter([1.0], np.real(np.poly(moved)), residual)
    return out
