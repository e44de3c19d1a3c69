"""Formats that are one header and the sound: Sun and NeXT AU, and NIST SPHERE."""

from __future__ import annotations

import math

from deident.containers.finding import Bytes, Notes
from deident.containers.headers import sphere_fields
from deident.containers.source import number
from deident.scanners.reader import is_zero

_AU_HEADER = 24


def scan_au(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note the annotation of an AU file, and what follows its sound."""
    head = source.at(start, _AU_HEADER)
    order = "big" if head[:1] == b"." else "little"
    sound, size = number(head, 4, 4, order), number(head, 8, 4, order)
    begin = min(stop, max(start + _AU_HEADER, start + sound))
    if is_zero(source, start + _AU_HEADER, begin):
        if begin > start + _AU_HEADER + 8:
            notes.add("au.filler", source, start + _AU_HEADER, begin, "an annotation, all zero")
    else:
        notes.add("au.annotation", source, start + _AU_HEADER, begin, "annotation")
    if size == 0xFFFFFFFF:  # unknown: the sound goes on to the end
        return
    if begin + size > stop:
        what = "a header that claims more bytes than there are: the sound's end cannot be told from it"
        notes.add("au.size", source, start + 8, start + 12, what)
    notes.add("au.trailing", source, min(stop, begin + size), stop, "bytes after the end")


def scan_sphere(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note the header of a NIST SPHERE file, whose fields name speakers and sessions."""
    head = source.at(start, 16)
    size = int(head[8:16]) if head[8:16].strip().isdigit() else 1024
    end = min(stop, start + max(16, size))
    notes.add("sphere.header", source, start, end, "header of named fields")
    fields = sphere_fields(source.at(start, end - start))
    if fields.get(b"sample_coding", b"pcm") in (b"pcm", b"ulaw", b"alaw"):
        sizes = [fields.get(name, b"") for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
        if all(size.isdigit() for size in sizes):
            sound = math.prod(int(size[:18]) for size in sizes)
            notes.add("sphere.trailing", source, min(stop, end + sound), stop, "bytes after the end")
