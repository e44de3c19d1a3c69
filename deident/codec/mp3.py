"""The MPEG frames of an MP3, found by walking over their headers.

libsndfile ends where mpg123 guesses the end to be: from the first frame's bit rate, or from a Xing header that may
claim anything; and where the rate or the number of channels changes, as in files that were joined. Showing it runs
of frames, without such headers, makes it read all there is.
"""

from __future__ import annotations

from dataclasses import dataclass

from deident.codec.files import Bytes
from deident.containers.mpeg import EncoderTag, MpegFrame, encoder_tag, first_frame, frames, silent_frame
from deident.containers.source import Memory, Pieces
from deident.containers.tags import end_tags_start, front_tags_end

_DECODER_DELAY = 529  # samples by which every layer III decoder is late (LAME technical FAQ)
_TOLERANCE = 4096  # bytes that are no frame: padding and small tags, not lost sound
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")


@dataclass(slots=True)
class Run:
    """Frames of one rate and number of channels. tag : an encoder's counts. count : of frames."""

    source: Pieces
    sound: tuple[tuple[int, int], int]
    head: bytes
    samples_per_frame: int
    tag: EncoderTag | None = None
    count: int = 0

    @property
    def skip(self) -> int:
        """Samples of delay, the encoder's and the decoder's, before the sound."""
        return self.tag.delay + _DECODER_DELAY if self.tag and (self.tag.delay or self.tag.padding) else 0

    @property
    def samples(self) -> int:
        """Samples of sound. Padding is left out where the encoder's count of frames is near the true one."""
        total = self.count * self.samples_per_frame
        if not self.tag or not self.skip:
            return total
        is_near = abs(self.tag.frames - self.count) <= 1
        return max(0, total - self.tag.delay - (self.tag.padding if is_near else 0))

    @property
    def is_short(self) -> bool:
        """Tell fewer frames than the encoder counted; some count the one with their tag."""
        return self.tag is not None and self.count < self.tag.frames - 1

    def frames(self) -> Pieces:
        """Give what a decoder is to read: the frames, and a silent one in which the last one fades out."""
        if self.skip:
            silent = silent_frame(self.head)
            self.source.add(0, len(silent), Memory(silent))
        return self.source


def survey(source: Bytes) -> tuple[list[Run], str | None]:
    """List the runs of frames and the code of what is wrong with the end, if anything."""
    runs: list[Run] = []
    ending = None
    start = front_tags_end(source)
    first = first_frame(source, start, source.size)
    end = start if first is None else first
    for at, frame, head in frames(source, end, source.size):
        if at + frame.bytes > source.size:
            ending = ending or "truncated"
            break
        if _is_lost(source, end, at):
            ending = "damaged"
        end = at + frame.bytes
        _add(runs, source, at, frame, head)
    stop = end_tags_start(source, start, source.size)
    if any(run.is_short for run in runs) or end > stop + 1:
        ending = ending or "truncated"
    elif _is_lost(source, end, stop):
        ending = ending or "extra-data"
    return runs, ending


def _add(runs: list[Run], source: Bytes, at: int, frame: MpegFrame, head: bytes) -> None:
    """Add a frame to the current run, or begin another where the format changes."""
    tag, sound = encoder_tag(frame, head), (frame.kind, frame.channels)
    if tag or not runs or runs[-1].sound != sound:
        runs.append(Run(Pieces(source), sound, head[:4], frame.samples, tag))
    if not tag:
        runs[-1].count += 1
        runs[-1].source.add(at, frame.bytes)


def _is_lost(source: Bytes, start: int, stop: int) -> bool:
    """Tell whether more lies between frames than tags and padding."""
    head = source.at(start, 16)
    return stop - start > _TOLERANCE and head.count(0) < len(head) and not head.startswith(_TAGS)
