"""The streams of a FLAC file and what its last frame says of its end, since libsndfile stops at the first trouble."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from deident.codec.files import Bytes
from deident.containers import flac
from deident.containers.tags import end_tags_start, front_tags_end

_SCAN = 1 << 20


def links(source: Bytes) -> list[Bytes]:
    """Find the FLAC streams in a file, normally one: files glued together hold more,
    and a decoder stops after the first.
    """
    at = first = front_tags_end(source)
    starts, overlap = set[int](), len(flac.STREAM_STARTS[0]) - 1
    while piece := source.at(at, _SCAN + overlap):
        for mark in flac.STREAM_STARTS:
            found = piece.find(mark)
            while found >= 0:
                starts.add(at + found)
                found = piece.find(mark, found + 1)
        at += _SCAN
    bounds = [*(sorted(starts) or [first]), end_tags_start(source, first, source.size)]
    return [source.window(a, b) for a, b in itertools.pairwise(bounds)]


_WIDTHS = (8, 16, 24)  # bits that libsndfile reads


class End(NamedTuple):
    """Facts of STREAMINFO and the last frame. total : samples announced, 0 if unknown. whole : samples up to the end
    of the last frame, if it is whole and ends where the stream does, else 0. bits : of a sample. is_plain : libsndfile
    can read it. after : bytes behind the frame that ends with the announced samples.
    """

    total: int
    whole: int
    bits: int
    is_plain: bool
    after: int = 0


def find_end(stream: Bytes) -> End:
    """Survey the end of a stream."""
    info = flac.stream_info(stream.at(8, flac.INFO_BYTES))
    last = flac.last_frame(stream, 0, stream.size)
    if not last:
        return End(info.total, 0, info.bits, info.bits in _WIDTHS)
    whole = last.header.end(info) if last.stop == stream.size else 0
    after = 0 if whole or not info.total else stream.size - flac.frames_end(stream, 0, stream.size, info)
    is_plain = info.bits in _WIDTHS and (not whole or last.header.is_like(info))
    return End(info.total, whole, info.bits, is_plain, after)
