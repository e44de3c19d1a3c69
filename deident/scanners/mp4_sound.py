"""Places of the sound in an MP4 or QuickTime file, by the tables of its tracks and fragments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from struct import iter_unpack

from deident.containers.finding import Bytes, Notes, ScanStop
from deident.containers.mp4 import Box, boxes
from deident.containers.source import number
from deident.scanners.reader import is_zero

_MOST_BYTES = 1 << 22  # of one table: six hours of AAC at 44.1 kHz
_MOST_RANGES = 1 << 20
_PLAIN = (b"raw ", b"twos", b"sowt", b"NONE")
Range = tuple[int, int]


def add_unplayed(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note the bytes among the sound that belong to no track of sound: nobody hears them, and a program may keep
    texts there. Where a table does not say where sound lies, nothing is noted.
    """
    outer = list(boxes(source, start, stop))
    decoded: list[Range] = []
    for box in outer:
        if box.name in (b"moov", b"moof"):
            found = _of_movie(source, box) if box.name == b"moov" else _of_fragment(source, box)
            if found is None:
                return
            decoded += found
            if len(decoded) > _MOST_RANGES:
                raise ScanStop(f"sound in more than {_MOST_RANGES} places")
    if not decoded:
        return
    decoded.sort()
    ends = list(accumulate((end for _, end in decoded), max))
    for box in outer:
        if box.name == b"mdat":
            at = box.body
            for index in range(max(0, bisect_right(decoded, (at, 0)) - 1), len(decoded)):
                if decoded[index][0] >= box.stop:
                    break
                _add(source, at, decoded[index][0], notes)
                at = max(at, ends[index])
            _add(source, at, box.stop, notes)


def _add(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    if start < stop and not is_zero(source, start, stop):
        notes.add("mp4.mdat", source, start, stop, "bytes among the sound that belong to no track of sound")


def _inside(source: Bytes, box: Box, *path: bytes) -> Box | None:
    """Find the first box at a path of names."""
    for name in path:
        found = next((inner for inner in boxes(source, box.body, box.stop) if inner.name == name), None)
        if found is None:
            return None
        box = found
    return box


def _of_movie(source: Bytes, movie: Box) -> list[Range] | None:
    found: list[Range] = []
    for track in boxes(source, movie.body, movie.stop):
        handler = _inside(source, track, b"mdia", b"hdlr") if track.name == b"trak" else None
        if handler is None or source.at(handler.body + 8, 4) != b"soun":
            continue
        table = _inside(source, track, b"mdia", b"minf", b"stbl")
        if table is None:
            continue
        ranges = _chunks(source, table)
        if ranges is None:
            return None
        found += ranges
    return found


def _chunks(source: Bytes, table: Box) -> list[Range] | None:
    """Return where the chunks of a track lie; None where that cannot be told."""
    found = {box.name: box for box in boxes(source, table.body, table.stop)}
    places = found.get(b"stco") or found.get(b"co64")
    runs, sizes = found.get(b"stsc"), found.get(b"stsz")
    if places is None or runs is None or sizes is None:
        return [] if places is None and runs is None else None
    offsets = list(_entries(source, places, 8, "I" if places.name == b"stco" else "Q"))
    starts = [(first - 1, count) for first, count, _ in _rows(source, runs)]
    lengths: list[int] = []
    for (first, count), after in zip(starts, [*starts[1:], (len(offsets), 0)], strict=False):
        lengths += [count] * (min(after[0], len(offsets)) - first)
    if len(lengths) != len(offsets):
        return None
    size, samples = (number(source.at(sizes.body, 12), at, 4) for at in (4, 8))
    if size:
        frame = _frame_bytes(source, found.get(b"stsd")) if size == 1 else (1, size)
        if frame is None:
            return None
        return [(at, at + count * frame[1] // frame[0]) for at, count in zip(offsets, lengths, strict=True)]
    ends = [0, *accumulate(_entries(source, sizes, 12, "I"))]
    if len(ends) != samples + 1 or sum(lengths) > samples:
        return None
    counts = [0, *accumulate(lengths)]
    return [
        (at, at + ends[stop] - ends[start])
        for at, start, stop in zip(offsets, counts, counts[1:], strict=False)
    ]


def _frame_bytes(source: Bytes, descriptions: Box | None) -> tuple[int, int] | None:
    """Return the frames of a packet and its bytes, where sizes are counted in frames (QuickTime File Format)."""
    if descriptions is None:
        return None
    head = source.at(descriptions.body + 8, 56)
    version, channels, bits = (number(head, at, 2) for at in (16, 24, 26))
    if version == 1:
        frames, size = number(head, 36, 4), number(head, 44, 4)
        return (frames, size) if frames and size else None
    bits = 8 if head[4:8] in (b"ulaw", b"alaw") else bits if head[4:8] in _PLAIN else 0
    return (8, channels * bits) if version == 0 and channels * bits else None


def _entries(source: Bytes, box: Box, fixed: int, kind: str) -> Iterator[int]:
    return (value for (value,) in _unpacked(source, box, fixed, kind))


def _rows(source: Bytes, box: Box) -> Iterator[tuple[int, ...]]:
    return _unpacked(source, box, 8, "III")


def _unpacked(source: Bytes, box: Box, fixed: int, kind: str) -> Iterator[tuple[int, ...]]:
    """Yield the entries of a table behind its count, as far as there are any."""
    entry = sum({"I": 4, "Q": 8}[letter] for letter in kind)
    count = number(source.at(box.body + fixed - 4, 4), 0, 4)
    room = max(0, min(box.stop - box.body - fixed, _MOST_BYTES)) // entry
    data = source.at(box.body + fixed, min(count, room) * entry)
    yield from iter_unpack(f">{kind}", data[: len(data) // entry * entry])


def _of_fragment(source: Bytes, fragment: Box) -> list[Range] | None:
    """Return where the runs of a fragment lie, all taken for sound; None where that cannot be told."""
    found: list[Range] = []
    for track in boxes(source, fragment.body, fragment.stop):
        if track.name != b"traf":
            continue
        header = _inside(source, track, b"tfhd")
        if header is None:
            return None
        head = source.at(header.body, 40)
        flags, at = number(head, 1, 3), 8
        base = fragment.start
        if flags & 0x1:
            base, at = number(head, at, 8), at + 8
        at += sum(4 for flag in (0x2, 0x8) if flags & flag)
        default = number(head, at, 4) if flags & 0x10 else None
        place = base
        for run in boxes(source, track.body, track.stop):
            if run.name != b"trun":
                continue
            start, size = _run(source, run, base, place, default)
            if size is None:
                return None
            found.append((start, start + size))
            place = start + size
    return found


def _run(source: Bytes, run: Box, base: int, place: int, default: int | None) -> tuple[int, int | None]:
    """Return where a run of samples begins, and its bytes; None where its sizes stand nowhere."""
    head = source.at(run.body, 16)
    flags, count, at = number(head, 1, 3), number(head, 4, 4), 8
    if flags & 0x1:
        place, at = base + int.from_bytes(head[at : at + 4], "big", signed=True), at + 4
    at += 4 if flags & 0x4 else 0
    if not flags & 0x200:
        return place, None if default is None else count * default
    fields = [flag for flag in (0x100, 0x200, 0x400, 0x800) if flags & flag]
    kind = "I" * len(fields)
    table = run._replace(body=run.body + at - 8)  # so that its entries begin 8 bytes on
    room = max(0, min(run.stop - run.body - at, _MOST_BYTES))
    data = source.at(table.body + 8, min(room, count * 4 * len(fields)))
    rows = iter_unpack(f">{kind}", data[: len(data) // (4 * len(fields)) * 4 * len(fields)])
    return place, sum(row[fields.index(0x200)] for row in rows)
