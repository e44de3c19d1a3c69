"""Kaldi filterbanks: the input of most speaker encoders of today."""

from __future__ import annotations

import numpy as np

from deident.audio import RATE, Floats
from deident.errors import ExtraMissingError

BINS = 80


def check_extras() -> None:
    """Raise `ExtraMissingError` without `kaldi-native-fbank`."""
    try:
        import kaldi_native_fbank  # noqa: F401
    except ImportError:
        raise ExtraMissingError.of("attackers", "an encoder that reads filterbanks") from None


def filterbanks(samples: Floats) -> Floats:
    """Log mel filterbanks without dither, as Kaldi computes them.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz. Less than a second is repeated to one second.

    Returns
    -------
    (frames, 80) float32
        A frame every 10 ms. The mean over time is still in it.
    """
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = BINS
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(RATE, at_least(samples, RATE).tolist())
    bank.input_finished()
    return np.stack([bank.get_frame(k) for k in range(bank.num_frames_ready)]).astype(np.float32)


def centred(frames: Floats) -> Floats:
    """(frames, bins) without their mean over time: a constant colour of microphone or room."""
    return np.asarray(frames - frames.mean(0))


def at_least(rows: Floats, count: int) -> Floats:
    """The rows, repeated to at least this count."""
    if not len(rows):
        return np.zeros((count, *rows.shape[1:]), np.float32)
    times = -(-count // len(rows))
    return rows if times == 1 else np.concatenate([rows] * times)[:count]
