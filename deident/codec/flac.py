"""The streams of a FLAC file and what its last frame says of its end, since libsndfile stops at the first trouble."""

from __future__ import annotations

import itertools

from deident.codec.files import Bytes
from deident.containers import flac
from deident.containers.tags import end_tags_start, front_tags_end

_SCAN = 1 << 20


def links(source: Bytes) -> list[Bytes]:
    """Find the FLAC streams in a file, normally one: files glued together hold more,
    and a decoder stops after the first."""
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


def end_of_frames(stream: Bytes) -> int:
    """Count the samples up to the end of the last frame, if it is whole and ends where the stream does, else 0."""
    block = flac.stream_info(stream.at(8, flac.INFO_BYTES)).block
    last = flac.last_frame(stream, 0, stream.size)
    return last.header.end(block) if last and last.stop == stream.size else 0
