"""Where the MPEG frames of an MP3 are, and what its header claims of them.

libsndfile ends where mpg123 guesses the end to be: from the first frame's bit rate, or from a Xing header
that may claim anything. Showing it the frames alone, without that header, makes it read all there is."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from deident.codec.containers import CHAIN, SEARCHED, MpegFrame, first_frame, id3_bytes, mpeg_frame
from deident.codec.files import Bytes

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
    start = _first_frame(source)
    stop = _without_tags(source)
    head = source.at(start, 256)
    frame = mpeg_frame(head)
    skip = samples = 0
    ending = None if frame is None or _ends_whole(source, stop, frame.rate) else "truncated"
    if frame and head[4 + frame.side_info : 8 + frame.side_info] in (b"Xing", b"Info"):
        count, size, delay, padding = _xing(head[8 + frame.side_info :])
        if size and stop - start < size - frame.bytes:
            ending = "truncated"
        if delay or padding:
            skip = delay + _DECODER_DELAY
        samples = max(0, count * frame.samples - delay - padding)
        start += frame.bytes
    return Frames(source.window(start, max(start, stop)), skip, samples, ending)


def _first_frame(source: Bytes) -> int:
    start = id3_bytes(source)
    return start + (first_frame(source.at(start, SEARCHED)) or 0)


def _xing(tag: bytes) -> tuple[int, int, int, int]:
    """(frames, bytes, encoder delay, padding) of a Xing tag with LAME's extension; 0 if missing."""
    if len(tag) < 4:
        return 0, 0, 0, 0
    flags, at, values = int.from_bytes(tag[:4], "big"), 4, [0, 0]
    for index in (0, 1):
        if flags >> index & 1 and len(tag) >= at + 4:
            values[index] = struct.unpack(">I", tag[at : at + 4])[0]
            at += 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame = tag[at + 21 : at + 24]
    packed = int.from_bytes(lame, "big") if len(lame) == 3 and tag[at : at + 1].isalpha() else 0
    return values[0], values[1], packed >> 12, packed & 0xFFF


def _without_tags(source: Bytes) -> int:
    """Where the frames end and ID3v1 and APEv2 tags begin."""
    stop = source.size
    if source.at(stop - 128, 3) == b"TAG":
        stop -= 128
    foot = source.at(stop - 32, 32)
    if foot[:8] == b"APETAGEX":
        size = int.from_bytes(foot[12:16], "little") + (32 if foot[23] & 0x80 else 0)
        stop -= min(size, stop)
    return stop


def _ends_whole(source: Bytes, stop: int, rate: int) -> bool:
    """Whether the last frame is all there, as far as a chain of frames at the end shows it."""
    tail = source.at(max(0, stop - _TAIL), min(_TAIL, stop))
    at = -1
    while (at := tail.find(b"\xff", at + 1)) >= 0:
        here, count = at, 0
        frame: MpegFrame | None
        while (frame := mpeg_frame(tail[here : here + 4])) and frame.rate == rate:
            count += 1
            if here + frame.bytes > len(tail):
                break
            here += frame.bytes
        if count >= CHAIN:
            return frame is None and not 0 < len(tail) - here < 4
    return True
