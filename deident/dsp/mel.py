"""The spectral envelope on the mel scale, and its cepstrum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Doubles, Floats
from deident.dsp.stft import Stft

HIGHEST_HZ = RATE / 2


def mel(hz: npt.ArrayLike) -> Doubles:
    """Convert Hz to mel (O'Shaughnessy, 1987)."""
    scale: Doubles = 2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0)
    return scale


def hertz(mels: npt.ArrayLike) -> Doubles:
    """Convert mel to Hz; the inverse of `mel`."""
    return 700.0 * (10.0 ** (np.asarray(mels, dtype=np.float64) / 2595.0) - 1.0)


@dataclass(frozen=True)
class MelCepstrum:
    """Mel cepstrum whose inverse can be evaluated at any frequencies.

    Parameters
    ----------
    stft : Stft
        Transform whose power spectra it describes.
    bands : int
        Triangular filters, spaced evenly on the mel scale.
    order : int
        Cepstral coefficients.
    narrowest_hz : float
        Half the width of the narrowest filter: about one harmonic of a high voice, so that the envelope does
        not follow the harmonics.

    References
    ----------
    Davis & Mermelstein (1980).
    """

    stft: Stft
    bands: int = 48
    order: int = 24
    narrowest_hz: float = 130.0

    @cached_property
    def _edges(self) -> Doubles:
        return np.linspace(mel(20.0), mel(HIGHEST_HZ), self.bands + 2)

    @cached_property
    def weights(self) -> Floats:
        """(bins, bands) float32; each column sums to 1."""
        at = self.bins_hz[:, None]
        low, centre, high = (hertz(self._edges[k : k + self.bands]) for k in range(3))
        below = (at - low) / (centre - low)
        above = (high - at) / (high - centre)
        wide = 1.0 - np.abs(at - centre) / np.maximum(self.narrowest_hz, high - centre)
        triangles = np.maximum(0.0, np.maximum(np.minimum(below, above), wide))
        unit: Floats = (triangles / triangles.sum(axis=0)).astype(np.float32)
        return unit

    @cached_property
    def analysis(self) -> Floats:
        """(bands, order) float32: log powers @ analysis = cepstra."""
        band = np.arange(self.bands) + 0.5
        quefrency = np.arange(self.order)
        cosines = np.cos(np.pi * np.outer(band, quefrency) / self.bands)
        scaled: Floats = (cosines * np.where(quefrency == 0, 1.0, 2.0) / self.bands).astype(np.float32)
        return scaled

    @cached_property
    def bins_hz(self) -> Doubles:
        """(bins,) the frequency of each bin of the transform."""
        return np.arange(self.stft.bins) * RATE / self.stft.size

    @cached_property
    def bands_hz(self) -> Doubles:
        """(bands,) the centre frequency of each band."""
        return hertz(self._edges[1:-1])

    def basis(self, at_hz: Doubles) -> Floats:
        """Make the (..., order, n) basis for frequencies (..., n): cepstra @ basis = log power there."""
        return self.basis_at(mel(at_hz))

    def basis_at(self, mels: Doubles) -> Floats:
        """Make the basis for frequencies on the mel scale."""
        first, second = self._edges[:2]
        band = ((mels - first) * (1.0 / (second - first)) - 0.5).clip(0.0, self.bands)
        angles: Floats = self._turns[:, None] * band.astype(np.float32)[..., None, :]
        np.cos(angles, out=angles)
        return angles

    @cached_property
    def _turns(self) -> Floats:
        return (np.pi / self.bands * np.arange(self.order)).astype(np.float32)

    def band_powers(self, samples: Floats) -> Floats:
        """Measure the power of (samples,) in each band and frame, (frames, bands) float32."""
        return self.powers_of_padded(self.stft.pad(samples), self.stft.frames(samples.shape[-1]))

    def powers_of_padded(self, padded: Floats, count: int) -> Floats:
        """Measure the band powers of padded samples with `count` frames, (count, bands) float32."""
        out = np.empty((count, self.bands), dtype=np.float32)
        for frames, spectra in self.stft.blocks(padded):
            parts = spectra.view(np.float32)
            np.square(parts, out=parts)
            power = parts[:, 0::2] + parts[:, 1::2]
            np.matmul(power, self.weights, out=out[frames])
        return out
