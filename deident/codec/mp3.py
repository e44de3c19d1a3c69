"""The MPEG frames of an MP3, and the claims of its header about them.

libsndfile ends where mpg123 guesses the end to be: from the first frame's bit rate, or from a Xing header
that may claim anything. Showing it the frames alone, without that header, makes it read all there is."""

from __future__ import annotations

from dataclasses import dataclass

from deident.codec.files import Bytes
from deident.containers.mpeg import CHAIN, encoder_tag, first_frame, mpeg_frame
from deident.containers.tags import end_tags_start, front_tags_end

_DECODER_DELAY = 529  # samples by which every layer III decoder is late (LAME technical FAQ)
_TAIL = 1 << 14


@dataclass(frozen=True, slots=True)
class Frames:
    """The bytes that are MPEG frames, and what to do with their samples.

    skip : encoder delay at the start. samples : how many remain after it, as the header claims; 0 if it
    claims nothing. ending : the code of what is wrong with the end, if anything."""

    frames: Bytes
    skip: int
    samples: int
    ending: str | None


def survey(source: Bytes) -> Frames:
    start = front_tags_end(source)
    stop = end_tags_start(source, start, source.size)
    start = first_frame(source, start, stop) or start
    head = source.at(start, 256)
    frame = mpeg_frame(head)
    skip = samples = 0
    ending = None if frame is None or _ends_whole(source, stop, frame.rate) else "truncated"
    if frame and (tag := encoder_tag(frame, head)):
        if tag.bytes and stop - start < tag.bytes - frame.bytes:
            ending = "truncated"
        if tag.delay or tag.padding:
            skip = tag.delay + _DECODER_DELAY
        samples = max(0, tag.frames * frame.samples - tag.delay - tag.padding)
        start += frame.bytes
    return Frames(source.window(start, max(start, stop)), skip, samples, ending)


def _ends_whole(source: Bytes, stop: int, rate: int) -> bool:
    """Tell whether the last frame is all there, as far as a chain of frames at the end shows it."""
    tail = source.at(max(0, stop - _TAIL), min(_TAIL, stop))
    at = -1
    while (at := tail.find(b"\xff", at + 1)) >= 0:
        here, count = at, 0
        while (frame := mpeg_frame(tail[here : here + 4])) and frame.rate == rate:
            count += 1
            if here + frame.bytes > len(tail):
                break
            here += frame.bytes
        if count >= CHAIN:
            return frame is None and not 0 < len(tail) - here < 4
    return True
