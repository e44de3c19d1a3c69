"""Decode any recording to channels at 16 kHz, block by block."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import os
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Audio, Samples
from deident.codec.arrays import Blocks, audio_of, from_array, from_blocks
from deident.codec.confine import names_of
from deident.codec.digest import FileDigest
from deident.codec.files import Bytes
from deident.codec.guard import decode_guarded, is_available
from deident.codec.limits import Limits
from deident.codec.mixing import Channels
from deident.codec.problems import ENDINGS, RefusedError
from deident.codec.sources import descriptor_of
from deident.codec.worker import Ended, Job, Opened
from deident.containers import Container, recognise
from deident.containers.tags import front_tags_end
from deident.errors import RecordingError, SettingError, kind_of
from deident.uris import is_path_of_uri

Source = str | os.PathLike[str] | bytes | BinaryIO | Audio | Blocks | tuple[npt.ArrayLike, int]
Events = Iterator[Opened | Samples | Ended]
_HEAD = 3 * RATE  # samples
_AUDIBLE = np.float32(1e-3)  # full scale = 1; coding noise in silence lies below it


class Recognised(NamedTuple):
    """The container of a file, and its digest to be."""

    container: Container
    digest: FileDigest


class Decoding:
    """A recording that is being decoded, as `decode` returns it: a context manager, and an iterator of blocks.

    It can be iterated once. A block is (channels, samples) float32 at 16 kHz, full scale ±1, a second or two long,
    and belongs to the caller. Iterating raises `RecordingError` when the recording turns out to be unusable, and
    under `strict` at the end of a partial one.

    Attributes
    ----------
    channels : int
        Rows of a block.
    container : str
        The container, such as "wav", or "samples" for an array.
    source_rate, source_channels : int
        The recording's own sample rate in Hz, and its channels.
    confinement : int
        Bits of `codec.confine.LAYERS`: the layers in force in the process that decodes; 0 for an array.
    file_sha256 : str
        After the last block: digest of the whole file, "" for an array.
    partial : str or None
        After the last block: the code of why the end is missing.
    source_seconds : float
        After the last block: decoded seconds.
    cancelled_seconds : float
        After the last block: seconds in which the channels of a mix cancelled each other, and the louder one was taken.
    head_sha256 : str
        After the last block: digest of the first three seconds that are not silence. It stays the same when the
        recording grows or is repaired. "" for a shorter recording.
    """

    def __init__(
        self, events: Events, container: str, strict: bool, digest: FileDigest | None = None
    ) -> None:
        self._events = events
        self._strict = strict
        self._head_hash = hashlib.sha256()
        self._head_missing = _HEAD
        self.container = container
        self._digest = digest
        self.partial: str | None = None
        self.separate = False
        self.source_seconds = 0.0
        self.cancelled_seconds = 0.0
        try:
            opened = next(events)
        except RefusedError as refused:
            raise refused.error() from None
        assert isinstance(opened, Opened)
        self.source_rate, self.source_channels, self.channels, self.confinement = opened

    def __iter__(self) -> Iterator[Samples]:
        try:
            for event in self._events:
                if isinstance(event, Ended):
                    self._finish(event)
                elif not isinstance(event, Opened):
                    if self._head_missing:
                        self._hash_head(event)
                    yield event
        except RefusedError as refused:
            raise refused.error() from None

    def _hash_head(self, block: Samples) -> None:
        """Add the first seconds from the first audible sample on to the digest of the head."""
        if self._head_missing == _HEAD:
            audible = (np.abs(block) > _AUDIBLE).any(axis=0)
            if not audible.any():
                return
            block = block[:, int(np.argmax(audible)) :]
        part = block[:, : self._head_missing]
        self._head_hash.update(part.T.tobytes())  # sample by sample, whatever the sizes of blocks
        self._head_missing -= part.shape[1]

    @property
    def head_sha256(self) -> str:
        return "" if self._head_missing else self._head_hash.hexdigest()

    @property
    def file_sha256(self) -> str:
        return self._digest.value if self._digest else ""

    def _finish(self, end: Ended) -> None:
        """Take over how the recording ended; refuse an ending that is not clean where that is asked for."""
        self.source_seconds = end.microseconds / 1e6
        self.cancelled_seconds = end.cancelled_milliseconds / 1e3
        self.partial, self.separate = end.ending, end.separate
        if end.ending and self._strict:
            raise RefusedError(end.ending)

    def close(self) -> None:
        """Stop decoding; a second call does nothing."""
        close = getattr(self._events, "close", None)
        if close:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Decoding({self.container}, {self.source_channels} × {self.source_rate} Hz)"


def decode(
    source: Source,
    *,
    channels: Channels = "mix",
    limits: Limits | None = None,
    follow_links: bool = False,
    nonfinite: Literal["refuse", "zero"] = "refuse",
    strict: bool = False,
    timed: bool = False,
) -> Decoding:
    """Open a recording for decoding. Files are decoded in a confined child process.

    Parameters
    ----------
    source : path, URI, bytes, binary file, Audio, or (samples, rate)
        A URI is text such as "s3://bucket/call.wav"; bytes are those of a whole file; an open file is read from its
        current position. Samples are (samples,) or (channels, samples).
    channels : "mix", "split" or int
        Average the channels, keep each as a row, or take one by its number from 0. Where the average is more than
        15 dB below the channels' mean power, as with crossed wires, the louder channel is taken.
    limits : Limits, optional
        Limits on memory, time and output.
    follow_links : bool
        Open a path that is a symbolic link.
    nonfinite : "refuse" or "zero"
        Treatment of NaN, infinities and absurdly large samples.
    strict : bool
        Refuse a recording whose end is missing.
    timed : bool
        Refuse a recording whose time stamps cannot be followed, because times in it are given.

    Returns
    -------
    Decoding

    Raises
    ------
    RecordingError
        When the recording cannot be used; its `code` is one of `codec.problems`.
    SettingError
        For impossible settings.

    Examples
    --------
    >>> import numpy as np
    >>> with decode((np.zeros(8_000, np.float32), 8_000)) as decoding:
    ...     sum(block.shape[1] for block in decoding)
    16000
    """
    return _decode(source, channels, limits or Limits(), follow_links, nonfinite, strict, RATE, timed)


def _decode(
    source: Source,
    channels: Channels,
    limits: Limits,
    follow_links: bool,
    nonfinite: str,
    strict: bool,
    out_rate: int,
    timed: bool = False,
) -> Decoding:
    """Check the arguments, and begin to decode."""
    if not (channels in ("mix", "split") or (isinstance(channels, int) and channels >= 0)):
        raise SettingError("channels must be 'mix', 'split' or the number of a channel, counted from 0")
    if nonfinite not in ("refuse", "zero"):
        raise SettingError("nonfinite must be 'refuse' or 'zero'")
    zero = nonfinite == "zero"
    if is_path_of_uri(source):
        raise SettingError(
            'expected a URI as text, such as deidentify("s3://bucket/call.wav"), or deident.run for all below one;'
            " got a Path, which has lost a slash of it"
        )
    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(source)
    if isinstance(source, tuple) and len(source) == 2:
        source = audio_of(*source, zero)
    if isinstance(source, Audio):
        return Decoding(from_array(source, channels, zero, out_rate), "samples", strict)
    if isinstance(source, Blocks):
        return Decoding(from_blocks(source, channels, zero, out_rate), "samples", strict)
    if not (isinstance(source, str | os.PathLike) or hasattr(source, "read")):
        raise RecordingError(
            "expected a path, the bytes of a file, an open binary file, Audio or (samples, rate); "
            f"got {kind_of(source)}",
            "not-binary",
        )
    events = _from_file(source, channels, limits, follow_links, zero, out_rate, timed)
    try:
        first = next(events)
    except RefusedError as refused:
        raise refused.error() from None
    assert isinstance(first, Recognised)
    return Decoding(events, first.container.name, strict, first.digest)  # type: ignore[arg-type]  # the rest


def _from_file(
    source: str | os.PathLike[str] | BinaryIO,
    channels: Channels,
    limits: Limits,
    follow_links: bool,
    zero_nonfinite: bool,
    out_rate: int,
    timed: bool,
) -> Iterator[Recognised | Opened | Samples | Ended]:
    """Yield the recognised container, the opened format, blocks of samples, and the ending."""
    with descriptor_of(source, follow_links=follow_links, spool_bytes=limits.spool_bytes) as (
        descriptor,
        start,
    ):
        content = Bytes(descriptor, start)
        offset = front_tags_end(content)
        container = recognise(content, offset, content.size)
        if container is None:
            raise RefusedError("not-audio" if content.size else "empty")
        digest = FileDigest(content)
        yield Recognised(container, digest)
        job = Job(
            container=container.name,
            engine=container.engine,
            channels=channels,
            zero_nonfinite=zero_nonfinite,
            timed=timed,
            max_frames=limits.max_frames,
            max_channels=limits.max_channels,
            min_rate=limits.min_rate,
            max_rate=limits.max_rate,
            max_expansion=limits.max_expansion,
            expansion_grace=limits.expansion_grace,
            memory_bytes=limits.memory_bytes,
            cpu_seconds=limits.cpu_seconds + limits.cpu_seconds_per_megabyte * content.size / 1e6,
            out_rate=out_rate,
            start=start + offset,
            stop=start + content.size,
        )
        if container.engine == "av" and not _has_av():
            raise RefusedError("needs-extra")
        try:
            yield from digest.follow(decode_guarded(descriptor, job, limits))
        except RefusedError as refused:
            if refused.code != "needs-extra" or job.engine == "av" or not _has_av():
                raise
            yield from digest.follow(
                decode_guarded(descriptor, dataclasses.replace(job, engine="av"), limits)
            )


def _has_av() -> bool:
    return importlib.util.find_spec("av") is not None


def confinement() -> tuple[str, ...]:
    """Name the layers of confinement that are in force in a decoder on this system.

    Returns
    -------
    tuple of str
        Some of `confine.LAYERS`; none where recordings are decoded in this process.

    Raises
    ------
    RecordingError
        When no decoder can be started.
    """
    from deident.codec.write import encode_wav

    if not is_available():
        return ()
    with decode(io.BytesIO(encode_wav(np.zeros(1_600, np.int16)))) as decoding:
        return names_of(decoding.confinement)


def read(
    source: Source, *, channels: Channels = "mix", rate: int | None = RATE, strict: bool = False
) -> Audio:
    """Read a whole recording into memory.

    Warns when the recording is partial.

    Parameters
    ----------
    source : path, binary file, Audio, or (samples, rate)
        As in `decode`.
    channels : "mix", "split" or int
        As in `decode`.
    rate : int or None
        16,000 Hz, or None for the recording's own rate.
    strict : bool
        As in `decode`.

    Returns
    -------
    Audio

    Raises
    ------
    RecordingError
        When the recording cannot be used.
    SettingError
        For impossible settings.

    Examples
    --------
    >>> import numpy as np
    >>> read((np.zeros(8_000, np.float32), 8_000), rate=None)
    Audio(1 × 1.00 s at 8000 Hz)
    """
    if rate not in (RATE, None):
        raise SettingError(f"rate must be {RATE} or None, the recording's own")
    with _decode(source, channels, Limits(), True, "refuse", strict, rate or 0) as decoding:
        blocks = list(decoding)
    if decoding.partial:
        warnings.warn(f"{ENDINGS[decoding.partial]} ({decoding.partial})", stacklevel=2)
    if not blocks:
        raise RecordingError("the recording holds no samples", "empty")
    return Audio(np.concatenate(blocks, axis=1), rate or decoding.source_rate)
