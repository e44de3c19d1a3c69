"""What a recording may cost before it is refused."""

from __future__ import annotations

from dataclasses import dataclass, fields

from deident.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE
from deident.errors import SettingError


@dataclass(frozen=True)
class Limits:
    """Bounds on one recording's decoding. The defaults leave room for a day of sound in any format on a
    slow machine, and stop what no recording needs.

    memory_bytes : what the decoder may take on top of what an idle one has.
    cpu_seconds, cpu_seconds_per_megabyte : the decoder's processor time, a fixed part and one that grows with
        the size of the file: a small file that keeps a decoder busy for long is an attack, not a recording.
    stall_seconds : the longest wait for the next block. wall_seconds : all waiting together.
    max_frames : positions in time, at the source's rate.
    max_expansion : decoded samples (all channels) a byte of the file, once `expansion_grace` samples are out;
        digital silence in the best codecs comes to about 5,000.
    spool_bytes : how much of a source that has no descriptor (a pipe, an archive member) is copied."""

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
