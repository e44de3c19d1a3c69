"""Audio, and the array types of the library."""

from __future__ import annotations

import base64
import io
import numbers
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.errors import RecordingError, SettingError, kind_of
from deident.segment import RATE as RATE
from deident.segment import Segment as Segment

MIN_RATE, MAX_RATE = 4_000, 384_000
MAX_CHANNELS = 64
PLAYER_SECONDS = 60.0  # in a notebook, which keeps the file in itself

# The array types of the library; shapes stand in the docstrings.
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
Samples = Floats  # of sound, full scale ±1
Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False, repr=False, init=False, slots=True)
class Audio:
    """Sound, validated once and immutable.

    Parameters
    ----------
    samples : (channels, samples) or (samples,) array_like
        Floats with full scale ±1, integers of 8, 16 or 32 bits that use their range, or samples of 16 bits in a list
        or in a wider type. Kept as a read-only float32 copy of shape (channels, samples).
    rate : int
        Hz, 4,000 to 384,000.

    Raises
    ------
    RecordingError
        For NaN, infinities, other shapes, over 64 channels, impossible rates, and integers of an unknown scale: those
        of 32 or 64 bits that hold samples of 24, or too small values.

    Examples
    --------
    >>> import numpy as np
    >>> from deident import Audio, Segment
    >>> audio = Audio(np.zeros((2, 24_000)), 16_000)
    >>> audio
    Audio(2 × 1.50 s at 16000 Hz)
    >>> audio[Segment(0, 8_000)].seconds
    0.5
    """

    samples: Samples
    rate: int

    def __init__(self, samples: npt.ArrayLike, rate: int) -> None:
        array = as_array(samples)
        if array.dtype.kind not in "fiub":
            raise RecordingError(f"samples must be real numbers; got dtype {array.dtype}", "bad-samples")
        scale = 1.0 / _full_scale(array) if array.dtype.kind == "i" else 1.0
        if array.dtype.kind in "ub":
            raise RecordingError("unsigned samples have no agreed zero: convert to float32", "bad-samples")
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused below
            own = np.array(array, dtype=np.float32, ndmin=2, copy=True, order="C")
        if scale != 1.0:
            own *= np.float32(scale)
        if own.ndim != 2:
            raise RecordingError(
                f"samples must have shape (samples,) or (channels, samples); got {array.ndim} axes",
                "bad-samples",
            )
        if not 1 <= own.shape[0] <= MAX_CHANNELS:
            raise RecordingError(
                f"expected 1 to {MAX_CHANNELS} channels in shape (channels, samples); got {own.shape[0]}:"
                " transpose what has the shape (samples, channels)",
                "channels",
            )
        if not isinstance(rate, numbers.Real):
            raise RecordingError(
                f"expected the sample rate, after the samples, as a number of Hz; got {kind_of(rate)}", "rate"
            )
        if not float(rate).is_integer():
            raise RecordingError(f"the sample rate must be a whole number of Hz; got {rate:g}", "rate")
        if not MIN_RATE <= rate <= MAX_RATE:
            raise RecordingError(
                f"expected a sample rate of {MIN_RATE} to {MAX_RATE} Hz; got {int(rate)}", "rate"
            )
        if not (np.isfinite(np.vdot(own, own)) or np.isfinite(own).all()):  # the first costs a third
            raise RecordingError(
                "samples hold NaN or infinities; repair the source or zero them first", "not-finite"
            )
        own.setflags(write=False)
        object.__setattr__(self, "samples", own)
        object.__setattr__(self, "rate", int(rate))

    @classmethod
    def trusted(cls, samples: Samples, rate: int) -> Audio:
        """Wrap samples without a check or a copy.

        Parameters
        ----------
        samples : (channels, samples) float32
            Finite, and not to be changed by anybody.
        rate : int
            In Hz.

        Returns
        -------
        Audio
        """
        audio = object.__new__(cls)
        samples.setflags(write=False)
        object.__setattr__(audio, "samples", samples)
        object.__setattr__(audio, "rate", rate)
        return audio

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def mono(self) -> Samples:
        """The only channel, (samples,). Raises `RecordingError` when there are several."""
        if self.channels != 1:
            raise RecordingError(f"expected one channel; got {self.channels}: mix or split them", "channels")
        mono: Samples = self.samples[0]
        return mono

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self) / self.rate

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the audio to a file, as 16 bits a sample.

        Parameters
        ----------
        path : path-like
            Its suffix, .wav or .flac, decides the container.

        Raises
        ------
        SettingError
            For another suffix.
        """
        Path(path).write_bytes(self._encode(container_of(path)))

    def _encode(self, container: str) -> bytes:
        import soundfile

        made = io.BytesIO()
        soundfile.write(made, self.samples.T, self.rate, "PCM_16", format=container)
        return made.getvalue()

    def _repr_html_(self) -> str:
        if self.seconds > PLAYER_SECONDS:
            note = f"no player, for it is longer than {PLAYER_SECONDS:g} s: take a part by audio[Segment(start, stop)]"
            return player(None, self.samples[0], f"{self!r}: {note}")
        return player(self._encode("wav"), self.samples[0], repr(self))

    def __len__(self) -> int:
        return int(self.samples.shape[1])

    def __getitem__(self, where: Segment) -> Audio:
        return Audio.trusted(self.samples[:, where.start : where.stop].copy(), self.rate)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Audio):
            return NotImplemented
        return self.rate == other.rate and np.array_equal(self.samples, other.samples)

    __hash__ = None  # type: ignore[assignment]  # compared by content, so not a dictionary key

    def __repr__(self) -> str:
        return f"Audio({self.channels} × {self.seconds:.2f} s at {self.rate} Hz)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Audio, (self.samples, self.rate)


def _full_scale(array: npt.NDArray[Any]) -> float:
    """Return the full scale of integers: that of their type, or of 16 bits where they hold nothing else.

    Raises `RecordingError` where the values do not tell it.
    """
    scale = float(np.iinfo(array.dtype).max) + 1.0
    if array.dtype.itemsize < 4 or not array.size or not array.ndim:
        return scale
    peak = max(int(array.max()), -int(array.min()))
    if not peak or (array.dtype.itemsize == 4 and peak > 1 << 23):
        return scale
    # Eight bits may be those of a byte; and with its lower byte empty, it may be a quiet sample of 24 bits.
    if 1 << 8 <= peak <= 1 << 15 and (array & 0xFF).any():
        return float(1 << 15)
    raise RecordingError(
        "expected integers of 32 bits that use their range, or samples of 16 bits in a wider type; these may have"
        " another full scale: give samples.astype(np.int16) for samples of 16 bits, or float32 within ±1",
        "bad-samples",
    )


def as_array(samples: npt.ArrayLike) -> npt.NDArray[Any]:
    """Convert samples to an array. Raises `RecordingError` where numpy cannot, or where some are masked."""
    try:
        array = np.asarray(samples)
    except ValueError:
        raise RecordingError("samples must be an array; its rows differ in length", "bad-samples") from None
    except (RuntimeError, TypeError):  # of a tensor with gradients, on a device, or of bfloat16
        raise RecordingError(
            f"samples must be an array; got {kind_of(samples)} that numpy cannot read: detach a tensor, and give it as"
            " float32",
            "bad-samples",
        ) from None
    if np.ma.is_masked(samples):
        raise RecordingError(
            "some samples are masked, and would be audible all the same: set them to zero, or give them as mute",
            "bad-samples",
        )
    return array


def at_work_rate(audio: object) -> Samples:
    """Get the samples of mono audio at 16 kHz, (samples,). Raises `RecordingError` or `SettingError` for others."""
    if not isinstance(audio, Audio):
        raise SettingError(f"expected deident.Audio(samples, rate); got {kind_of(audio)}")
    if audio.rate != RATE:
        raise SettingError(f"expected sound at {RATE} Hz, as deident.read gives it; got {audio.rate} Hz")
    return audio.mono


def segments_of(mask: npt.NDArray[np.bool_], step: int = 1) -> list[Segment]:
    """Convert the runs of True in a mask, with `step` samples an entry, to segments."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [Segment(int(a) * step, int(b) * step) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def mask_of(segments: Iterator[Segment] | list[Segment], samples: int) -> npt.NDArray[np.bool_]:
    """Make a mask, (samples,) bool, that is True inside the segments."""
    mask = np.zeros(samples, dtype=np.bool_)
    for segment in segments:
        mask[segment.start : segment.stop] = True
    return mask


def container_of(path: str | os.PathLike[str]) -> str:
    """Return the container that a file's suffix asks for. Raises `SettingError` for others than .wav and .flac."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".wav", ".flac"):
        raise SettingError("expected a file name that ends in .wav or .flac")
    return suffix[1:]


def player(wav: bytes | None, samples: Samples, caption: str) -> str:
    """Make HTML for a notebook: a picture of the waveform, a caption, and a player where there is a file.

    wav : bytes of a file.   samples : (samples,) to draw.
    """
    width, height = 480, 64
    step = -(-max(1, samples.size) // width)
    peaks = np.abs(np.pad(samples, (0, -samples.size % step))).reshape(-1, step).max(axis=1, initial=0.0)
    tall = np.rint(peaks / (peaks.max(initial=0.0) or 1.0) * (height / 2 - 1)).astype(int) + 1
    bars = "".join(f"M{x} {height // 2 - y}v{2 * y}" for x, y in enumerate(tall.tolist()))
    source = "" if wav is None else base64.b64encode(wav).decode()
    sound = f'<audio controls src="data:audio/wav;base64,{source}"></audio>' if source else ""
    return (
        f'<figure style="margin: 0">'
        f'<svg viewBox="0 0 {width} {height}" width="{width}" style="max-width: 100%" role="img">'
        f'<path d="{bars}" stroke="currentColor"/></svg>'
        f"<figcaption>{caption}</figcaption>{sound}</figure>"
    )
