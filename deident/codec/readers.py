"""Readers: from an open file to blocks of samples."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

import numpy as np

from deident.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE
from deident.codec import flac, mp3, ogg, pcm
from deident.codec.files import Bytes, File
from deident.codec.flac_frames import FrameDecoder, find_frame, first_frame, has_large_frames
from deident.codec.layout import CONTRADICTORY, Layout
from deident.codec.pcm import Block
from deident.codec.problems import RefusedError
from deident.containers import CONTAINERS, FFMPEG, Container

_BLOCK_SECONDS = 1.4
_BLOCK_VALUES = 1 << 20  # bounds a block's memory where rates and channels are many
_BUFFER = 1 << 16
_FLAC_TOLERANCE = 4096  # bytes behind the last frame: padding and small tags, not lost sound
# mpg123 derives the length from the first frame's bit rate; bit rates differ by at most 320 / 8.
_MP3_STRETCH = 64


class Reader:
    """A recording being decoded: an iterable, once, of blocks.

    Attributes
    ----------
    ending : str or None
        After the last block, the code of what is wrong with the end (a key of `problems.ENDINGS`), or None.
    is_out_of_step : bool
        With a block, that the container's time stamps go back or cannot be followed: times that somebody took from
        a player or a transcript differ from those of the samples by over 0.1 s from here on.
    """

    ending: str | None = None
    is_out_of_step = False

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        """Decode block by block.

        Yields
        ------
        rate : int
            Hz. It may change from one block to the next.
        block : (n, channels) int16 or float32
            Of up to a second or two. float32 has 1 as full scale.

        Raises
        ------
        RefusedError
            For a recording of which nothing can be relied on.
        """
        raise NotImplementedError


def block_frames(rate: int, channels: int) -> int:
    return max(1, min(int(_BLOCK_SECONDS * rate), _BLOCK_VALUES // channels))


def check_sound(rate: int, channels: int) -> None:
    """Refuse rates and numbers of channels that no recording has."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise RefusedError("channels", min(channels, 2**31), MAX_CHANNELS)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise RefusedError("rate", min(rate, 2**31))


class LaidOutReader(Reader):
    """WAV, AIFF, CAF and AU families: plain samples by ourselves, the rest by libsndfile."""

    def __init__(self, source: Bytes, container: Container) -> None:
        self._source = source
        self._name = container.name
        self._layout: Layout = resolve_name(container.layout)(source)
        self.ending = self._layout.ending

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        layout = self._layout
        check_sound(layout.rate, layout.channels)
        is_contradictory = layout.encoding == CONTRADICTORY
        if layout.encoding and not is_contradictory:
            for block in pcm.blocks(self._source, layout, block_frames(layout.rate, layout.channels)):
                yield layout.rate, block
            return
        # libsndfile gives up on some files for what stands behind their samples
        stop = layout.stop if self._name in ("wav", "rf64", "w64") else None
        decoder = Decoder(
            File(self._source.window(0, stop), layout.patches),
            is_all=self._name not in ("au", "sphere"),
            is_last=is_contradictory,
        )
        yield from decoder
        self.ending = self.ending or decoder.ending


class FlacReader(Reader):
    def __init__(self, source: Bytes, container: Container) -> None:
        self._links = flac.links(source)
        self._ends = [flac.find_end(link) for link in self._links]
        for link, end in zip(self._links, self._ends, strict=True):
            if not end.is_plain and not has_large_frames(link, end.bits):
                raise RefusedError("needs-extra")

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        for link, end in zip(self._links, self._ends, strict=True):
            got, start = 0, None if end.is_plain else first_frame(link)
            if end.is_plain:
                decoder = Decoder(File(link))
                yield from decoder
                got = decoder.frames
                start = find_frame(link, got) if decoder.ending else None
            if start is not None:
                frames = FrameDecoder(link, start)
                yield from frames
                got += frames.frames
            if end.total and not got:
                raise RefusedError("undecodable")
            self.ending = self.ending or _flac_ending(end, got)


def _flac_ending(end: flac.End, got: int) -> str | None:
    """Compare what came out with what should have come."""
    if not end.total:
        return "truncated" if not end.whole else "damaged" if end.whole > got else None
    if got < end.total:
        return "damaged" if end.whole >= end.total else "truncated"
    return "extra-data" if end.whole > got or end.after > _FLAC_TOLERANCE else None


class Mp3Reader(Reader):
    def __init__(self, source: Bytes, container: Container) -> None:
        self._runs, self.ending = mp3.survey(source)

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        for run in self._runs:
            if not run.count:
                continue
            frames = run.frames()
            skip, left = run.skip, run.samples
            for rate, block in Decoder(File(frames, length=frames.size * _MP3_STRETCH)):
                block, skip = block[skip:], max(0, skip - len(block))
                block = block[:left]
                left -= len(block)
                if len(block):
                    yield rate, block
            if left > run.samples_per_frame:
                self.ending = self.ending or "damaged"


class OggReader(Reader):
    def __init__(self, source: Bytes, container: Container) -> None:
        self._chain = ogg.chain(source)
        self.ending = self._chain.ending
        if self.ending is None and not all(ogg.has_steady_clock(link) for link in self._chain.links):
            raise RefusedError("needs-extra")  # to fill the gaps

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        for link in self._chain.links:
            streams = ogg.streams(link)
            voices = [stream for stream in streams if stream.codec != "other"]
            if not voices or voices[0].codec == "speex":
                raise RefusedError("needs-extra" if voices or streams else "undecodable")
            is_flac = voices[0].codec == "flac"
            decoder = Decoder(File(voices[0] if is_flac or streams[1:] else link))
            yield from decoder
            if decoder.ending and not is_flac:
                self.ending = self.ending or decoder.ending
            if len(voices) > 1:  # another microphone, that is
                self.ending = self.ending or "extra-data"


# libsndfile guesses the format from the content too; it must come to one of ours.
_FORMATS = {name for container in CONTAINERS.values() for name in container.libsndfile.split()}
# libsndfile's codes: a codec or format it lacks, blocks that it has no room for, a wave format it does not know,
# channels that a codec has not.
_UNSUPPORTED_ENCODING = {4, 18, 29, 64, 140, 141}


class Decoder:
    """libsndfile on a file object: `(rate, block)` until it ends or fails; what a failed read gave stays.

    is_all : it tells the codecs that it lacks. It does not for AU (G.722) and SPHERE (shorten).   is_last : what it
    refuses is refused, as fields contradict each other, and FFmpeg might read noise.
    """

    def __init__(self, file: io.RawIOBase, *, is_all: bool = True, is_last: bool = False) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        self.frames = 0
        self.ending: str | None = None
        try:
            self._file = soundfile.SoundFile(io.BufferedReader(file, _BUFFER))
        except self._error as error:
            is_lacking = error.code in _UNSUPPORTED_ENCODING or not is_all
            raise RefusedError("needs-extra" if is_lacking and not is_last else "undecodable") from None
        self._file.seekable = lambda: False  # or every read is followed by a seek, which some files fail at
        if self._file.format not in _FORMATS:
            raise RefusedError("undecodable")
        check_sound(self._file.samplerate, self._file.channels)

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        with self._file as file:
            rate, channels = file.samplerate, file.channels
            announced = file.frames if file.format == "OGG" else 0
            while True:
                block, broken = self._read(file, block_frames(rate, channels))
                self.frames += len(block)
                if len(block):
                    yield rate, block
                if broken:
                    self.ending = "damaged"
                if broken or not len(block):
                    break
            if self.frames < announced:
                self.ending = "truncated"

    def _read(self, file: Any, frames: int) -> tuple[Any, bool]:
        """Read (block, has the decoder given up in it). libsndfile loses count when it fails, so the block is
        filled with NaN first: what is no longer NaN was decoded.
        """
        block = np.full((frames, file.channels), np.nan, dtype=np.float32)
        try:
            return file.read(frames, out=block), False
        except self._error:
            decoded = ~np.isnan(block[:, -1])
            return block[: int(np.argmin(decoded)) if not decoded.all() else frames], True


def open_reader(source: Bytes, name: str, engine: str) -> Reader:
    """Open a recording with the reader of its container, or with FFmpeg's libraries (engine "av")."""
    container = CONTAINERS[name]
    reader: Reader = resolve_name(container.reader if engine == "sound" else FFMPEG)(source, container)
    return reader
