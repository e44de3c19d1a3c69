"""Limits on what decoding one recording may cost."""

from __future__ import annotations

from dataclasses import dataclass, fields

from deident.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE
from deident.errors import SettingError


@dataclass(frozen=True)
class Limits:
    """Limits on decoding one recording. A recording that exceeds one is refused.

    The defaults admit a day of audio in any format on a slow machine.

    Parameters
    ----------
    memory_bytes : int
        Memory of the decoder, on top of that of an idle one.
    cpu_seconds, cpu_seconds_per_megabyte : float
        Processor time of the decoder: a fixed part, and one that grows with the file. A small file that keeps a
        decoder busy for long is an attack, not a recording.
    stall_seconds : float
        Longest wait for the next block, in seconds.
    wall_seconds : float
        Sum of all waiting for the decoder, in seconds.
    max_frames : int
        Sampling instants at the recording's own rate.
    max_channels : int
        At most 64.
    min_rate, max_rate : int
        Sample rates in Hz, within 4,000 to 384,000.
    max_expansion : int
        Decoded samples (of all channels) per byte of the file, checked after `expansion_grace` samples. Digital
        silence in the best codecs comes to about 5,000.
    expansion_grace : int
        Samples before `max_expansion` applies.
    spool_bytes : int
        Bytes that are copied from a source without a descriptor (a pipe, an archive member).

    Raises
    ------
    SettingError
        For a limit outside its range.

    Examples
    --------
    >>> Limits(cpu_seconds=10.0).cpu_seconds
    10.0
    """

    memory_bytes: int = 512 << 20
    cpu_seconds: float = 30.0
    cpu_seconds_per_megabyte: float = 100.0
    stall_seconds: float = 120.0
    wall_seconds: float = 6 * 3600.0
    max_frames: int = 2**35
    max_channels: int = MAX_CHANNELS
    min_rate: int = MIN_RATE
    max_rate: int = MAX_RATE
    max_expansion: int = 20_000
    expansion_grace: int = 2**24
    spool_bytes: int = 8 << 30

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise SettingError(f"limit {field.name} must be above zero")
        if self.max_channels > MAX_CHANNELS:
            raise SettingError(f"limit max_channels can be at most {MAX_CHANNELS}")
        if not MIN_RATE <= self.min_rate <= self.max_rate <= MAX_RATE:
            raise SettingError(f"the rate limits must lie within {MIN_RATE} to {MAX_RATE} Hz")
