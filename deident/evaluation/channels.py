"""An attack on the channel of a recording: telling which of thirteen a disguised snippet came through.

The channel tells devices, rooms and calls apart, and links snippets that share one. The attacker sends undisguised
speech through every channel, has hum removed and the rest disguised as in a run, and learns from training speakers;
the speakers on trial are others.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import soundfile

from deident.audio import RATE, Audio, Doubles, Floats, Ints
from deident.dsp.hum import remove_hum
from deident.evaluation import backend
from deident.evaluation.cache import Arrays, digest, source_digest
from deident.evaluation.copies import key_of
from deident.evaluation.corpus import Utterance
from deident.evaluation.features import FAMILIES, MELS, mel_matrix
from deident.evaluation.intervals import Interval, interval, ratio_samples
from deident.evaluation.utility import nearest_class

EACH = 4  # channels that one utterance goes through
PLAIN, NARROW = "as recorded", "8 kHz"


def _resampled(samples: Floats, rate: int) -> Floats:
    """Pass samples through a lower sample rate."""
    import soxr

    out = soxr.resample(soxr.resample(samples, RATE, rate), rate, RATE)[: len(samples)]
    return np.asarray(np.pad(out, (0, len(samples) - len(out))), np.float32)


def _filtered(samples: Floats, gain: Callable[[Doubles], Doubles]) -> Floats:
    """The samples with a zero-phase gain over frequency in Hz."""
    size = scipy.fft.next_fast_len(len(samples) + RATE // 4, real=True)
    hz = np.arange(size // 2 + 1) * (RATE / size)
    out = scipy.fft.irfft(scipy.fft.rfft(samples, size) * gain(hz), size)[: len(samples)]
    return np.asarray(out, np.float32)


def _telephone(samples: Floats, rng: np.random.Generator) -> Floats:
    """300 to 3,400 Hz, 8-bit µ-law."""
    narrow = _filtered(
        _resampled(samples, 8_000), lambda hz: ((hz > 300.0) & (hz < 3_400.0)).astype(np.float64)
    )
    level = np.sign(narrow) * np.log1p(255.0 * np.minimum(np.abs(narrow), 1.0)) / np.log(256.0)
    level = np.round(level * 127.0) / 127.0
    return np.asarray(np.sign(level) * np.expm1(np.abs(level) * np.log(256.0)) / 255.0, np.float32)


def _noisy(snr_db: float, slope: float) -> Callable[[Floats, np.random.Generator], Floats]:
    """Noise whose power falls with frequency to this power, at this ratio to the speech."""

    def add(samples: Floats, rng: np.random.Generator) -> Floats:
        noise = _filtered(
            rng.standard_normal(len(samples)).astype(np.float32),
            lambda hz: np.maximum(hz, 50.0) ** (-slope / 2.0),
        )
        level = np.std(samples) / max(float(np.std(noise)), 1e-9) * 10.0 ** (-snr_db / 20.0)
        return np.asarray(samples + np.float32(level) * noise, np.float32)

    return add


def _room(seconds: float, direct: float) -> Callable[[Floats, np.random.Generator], Floats]:
    """Reverberation that decays by 60 dB in this time."""

    def add(samples: Floats, rng: np.random.Generator) -> Floats:
        import scipy.signal

        count = round(seconds * RATE)
        tail = rng.standard_normal(count) * 10.0 ** (-3.0 * np.arange(count) / count)
        tail /= np.sqrt(np.sum(tail**2))
        tail[0] += direct
        return np.asarray(scipy.signal.fftconvolve(samples, tail)[: len(samples)], np.float32)

    return add


def _coded(container: str, codec: str) -> Callable[[Floats, np.random.Generator], Floats]:
    """Through a lossy codec and back, at its lowest quality."""

    def code(samples: Floats, rng: np.random.Generator) -> Floats:
        data = io.BytesIO()
        with soundfile.SoundFile(data, "w", RATE, 1, codec, format=container, compression_level=0.9) as file:
            file.write(samples)
        data.seek(0)
        out = soundfile.read(data, dtype="float32")[0][: len(samples)]
        return np.asarray(np.pad(out, (0, len(samples) - len(out))), np.float32)

    return code


def _humming(samples: Floats, rng: np.random.Generator) -> Floats:
    """Add mains hum of 50 Hz and its harmonics."""
    phase = 2.0 * np.pi * 50.0 * np.arange(len(samples)) / RATE + rng.uniform(0.0, 6.28)
    hum = sum(np.sin(k * phase) / k for k in (1, 2, 3, 5))
    return np.asarray(samples + 0.15 * np.std(samples) * hum, np.float32)


def _clipped(samples: Floats, rng: np.random.Generator) -> Floats:
    """Clip at the 95th percentile of the magnitude."""
    bound = float(np.percentile(np.abs(samples), 95)) + 1e-9
    return np.clip(samples, -bound, bound)


CHANNELS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    PLAIN: lambda samples, rng: samples,
    NARROW: lambda samples, rng: _resampled(samples, 8_000),
    "telephone": _telephone,
    "white noise, 15 dB": _noisy(15.0, 0.0),
    "room noise, 15 dB": _noisy(15.0, 1.5),
    "small room": _room(0.25, 1.5),
    "hall": _room(1.0, 0.8),
    "MP3": _coded("MP3", "MPEG_LAYER_III"),
    "Vorbis": _coded("OGG", "VORBIS"),
    "Opus": _coded("OGG", "OPUS"),
    "hum": _humming,
    "clipping": _clipped,
    "dull microphone": lambda samples, rng: _filtered(samples, lambda hz: 1.0 / (1.0 + (hz / 1_500.0) ** 2)),
}


@dataclass(frozen=True, eq=False)
class Passed:
    """Loads an utterance as it comes out of a channel, as a run would cut and disguise it."""

    utterance: Utterance
    channel: str
    seed: int

    def digest(self) -> str:
        """Stands for its samples, which are not made for it."""
        utterance = self.utterance
        code = source_digest(__name__)
        return digest("passed", self.channel, self.seed, utterance.name, utterance.digest(), code)

    def __call__(self) -> Audio:
        rng = key_of(self.seed).rng("channel", self.channel, self.utterance.name, 0)
        samples = remove_hum(CHANNELS[self.channel](self.utterance.load().mono, rng))  # as before a cut
        peak = float(np.abs(samples).max(initial=0.0))
        return Audio((samples / max(peak, 1.0))[None], RATE)


def share_of(utterances: Sequence[Utterance], channel: str, seed: int) -> list[Utterance]:
    """The utterances that go through a channel, out of it: each goes through a few, and every channel gets as many."""
    number = list(CHANNELS).index(channel)
    return [
        replace(u, load=Passed(u, channel, seed))
        for k, u in enumerate(utterances)
        if (number - 3 * k) % len(CHANNELS) < EACH
    ]


@dataclass(frozen=True)
class ChannelResult:
    """Channels told from disguised snippets.

    Attributes
    ----------
    accuracy : Interval
        Share of snippets whose channel was named, over speakers.
    chance : float
    by_channel : dict of str to float
    narrow_area : float
        Area under the ROC of one number, the level above 4 kHz, that tells 8 kHz from the recording as it is; no
        training. 0.5 is chance.
    """

    accuracy: Interval
    chance: float
    by_channel: dict[str, float]
    narrow_area: float


def tell_channels(
    train: Mapping[str, Arrays], tests: Mapping[str, Arrays], speakers: Mapping[str, Ints], weights: Doubles
) -> ChannelResult:
    """Learn channels from training speakers, and name those of the speakers on trial.

    Parameters
    ----------
    train, tests : mapping of str to Arrays
        Statistics of the copies that came through each channel, (utterances, 1, dims) each.
    speakers : mapping of str to (utterances,) int
        Of the copies in `tests`.
    weights : (draws, speakers) float64
        Of the bootstrap.

    Returns
    -------
    ChannelResult
    """

    def stacked(found: Mapping[str, Arrays]) -> tuple[Floats, Ints]:
        rows = [np.concatenate([arrays[f][:, 0] for f in FAMILIES], axis=1) for arrays in found.values()]
        labels = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        return np.concatenate(rows), labels.astype(np.intp)

    known, labels = stacked(train)
    rows, true = stacked(tests)
    centre, scale = known.mean(0), known.std(0) + 1e-6
    standard = [np.clip((part - centre) / scale, -6.0, 6.0) for part in (known, rows)]
    right = nearest_class(standard[0], labels, standard[1]) == true
    who = np.concatenate([speakers[name] for name in tests])
    count = weights.shape[1]
    of_speaker = np.bincount(who, right, count), np.bincount(who, minlength=count)
    high = _brightness(tests[PLAIN]["spectrum"][:, 0])
    low = _brightness(tests[NARROW]["spectrum"][:, 0])
    area = backend.area(high, low)
    return ChannelResult(
        accuracy=interval(float(right.mean()), ratio_samples(*of_speaker, weights)),
        chance=1.0 / len(tests),
        by_channel={name: float(right[true == k].mean()) for k, name in enumerate(tests)},
        narrow_area=max(area, 1.0 - area),
    )


def _brightness(spectra: npt.NDArray[Any]) -> Doubles:
    """Level above 4 kHz over that below, from the family "spectrum", whose first part is the long-term average."""
    peaks = mel_matrix().argmax(0) * (RATE / 512)
    above = peaks > 4_200.0
    average = spectra[:, :MELS].astype(np.float64)
    return np.asarray(average[:, above].mean(1) - average[:, ~above].mean(1))
