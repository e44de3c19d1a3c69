"""The ends of the containers that FFmpeg's libraries read, and the durations in their headers, by our own look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deident.codec import ogg
from deident.codec.files import Bytes
from deident.codec.layout import TAIL_TOLERANCE
from deident.containers import Container, recognise
from deident.containers.chunks import RIFF, UNKNOWN_SIZE, chunks
from deident.containers.mp4 import boxes
from deident.containers.source import number
from deident.containers.tags import end_tags_start, front_tags


def ending(source: Bytes, container: Container) -> str | None:
    """Judge the end by our own look at the container, where we have one."""
    if container.name == "ogg":
        chain = ogg.chain(source)
        return chain.ending or ("extra-data" if len(chain.links) > 1 else None)
    if container.name == "mp4":
        has_more = [box.name for box in boxes(source, 0, source.size)].count(b"moov") > 1
    elif container.name == "avi":
        parts = list(chunks(source, 0, source.size, RIFF))
        is_known = all(0 < part.claimed < UNKNOWN_SIZE for part in parts)
        if is_known and not all(part.is_whole for part in parts if part.name in _AVI):
            return "truncated"
        has_more = False
    else:
        has_more = container.head_bytes > 0 and source.again(container.head_bytes) < source.size
    if container.name in _ENDS and not has_more:
        end = _ENDS[container.name](source)
        if end > source.size:
            return "truncated"
        end = max((tag.stop for tag in front_tags(source, end, source.size)), default=end)
        stop = end_tags_start(source, end, source.size)
        has_more = stop - end > TAIL_TOLERANCE or recognise(source, end, stop) is not None
    return "extra-data" if has_more else None


_AVI = (b"RIFF", b"JUNK")
_MP4 = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"moof",
    b"mfra",
    b"free",
    b"skip",
    b"wide",
    b"uuid",
    b"udta",
    b"meta",
    b"sidx",
)
_MATROSKA = (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67")  # header and segment
_DOCUMENT, _HEAD_BYTES = b"\x42\x82", 64  # the header's element of the type of document, within so many bytes
_NO_END = 1 << 62
_SEARCHED = 1 << 20
_CLUSTER, _INFO, _DURATION = b"\x1f\x43\xb6\x75", b"\x15\x49\xa9\x66", b"\x44\x89"


def _mp4_end(source: Bytes) -> int:
    """Find the first bytes that are no box: no known one, and none that ends in the file."""
    end = 0
    for box in boxes(source, 0, source.size):
        is_cut = number(source.at(box.start, 4), 0, 4) > source.size - box.start
        if is_cut and box.name not in _MP4:
            break
        end = box.stop
    return end


def _avi_end(source: Bytes) -> int:
    """Find the first chunk that is no part of an AVI; the end of the file where a size was never filled in."""
    for part in chunks(source, 0, source.size, RIFF):
        is_avi = part.name == b"RIFF" and source.at(part.body, 4) in (b"AVI ", b"AVIX")
        if is_avi and not part.claimed:
            break
        if not is_avi and part.name != b"JUNK":
            return part.start
    return source.size


def _element(source: Bytes, at: int) -> tuple[bytes, int, int]:
    """Read (name, start of the body, end) of an element of Matroska; `_NO_END` for one without a size."""
    head = source.at(at, 12)
    name = head[: 9 - head[0].bit_length()] if head else b""
    size = head[len(name) :]
    width = 9 - size[0].bit_length() if size else 9
    if len(name) > 4:
        return b"", at, at
    if width > 8:
        return name, source.size, _NO_END
    body, count, unknown = at + len(name) + width, number(size, 0, width), (1 << 7 * width) - 1
    return name, body, _NO_END if count & unknown == unknown else body + (count & unknown)


def _matroska_end(source: Bytes) -> int:
    """Find the end of the last segment; behind one without a size, FFmpeg reads only others without one."""
    end, is_live = 0, False
    while end < source.size:
        name, body, stop = _element(source, end)
        if name not in _MATROSKA or (is_live and name == _MATROSKA[1] and stop < _NO_END):
            break
        is_live = is_live or stop == _NO_END
        end = _next_matroska(source, body) if stop == _NO_END else stop
    return end


def _next_matroska(source: Bytes, start: int) -> int:
    """Find the next header of Matroska, or the end of the file."""
    mark, at = _MATROSKA[0], start
    while piece := source.at(at, _SEARCHED + len(mark) - 1):
        found = piece.find(mark)
        while found >= 0:
            _, body, _ = _element(source, at + found)
            if _DOCUMENT in source.at(body, _HEAD_BYTES):
                return at + found
            found = piece.find(mark, found + 1)
        at += _SEARCHED
    return source.size


def tta_end(source: Bytes) -> int:
    """Add up the header, the seek table and the frames in it."""
    head = source.at(0, 22)
    frame = 256 * number(head, 10, 4, "little") // 245
    count = -(-number(head, 14, 4, "little") // frame) if frame else 0
    if 26 + 4 * count > source.size:  # the header is wrong, and its table not to be made room for
        return source.size
    table = np.frombuffer(source.at(22, 4 * count), "<u4")
    return 26 + 4 * count + int(table.sum(dtype=np.int64))


def _asf_end(source: Bytes) -> int:
    """Add up the objects of an ASF: header, data and indexes; the end of the file where a stream has no size."""
    end = 0
    while end < source.size:
        name, size = source.at(end, 16), number(source.at(end + 16, 8), 0, 8, "little")
        is_cut = size > source.size - end
        if name == _ASF_DATA and (size <= _ASF_EMPTY_BYTES or (is_cut and not asf_seconds(source))):
            return source.size
        if name == _ASF_DATA and is_cut:
            return end + size
        if is_cut or size < 24 or (end and name == _ASF_HEADER):
            break
        end += size
    return end


def _flv_end(source: Bytes) -> int:
    """Walk over the tags of an FLV up to bytes that are none."""
    end = number(source.at(5, 4), 0, 4) + 4
    while end < source.size:
        head = source.at(end, 11)
        if head[0] & 0xDF not in _FLV_TAGS and any(head):
            return end
        end += 15 + number(head, 1, 3)
    return source.size


_FLV_TAGS = (8, 9, 15, 18)  # sound, picture, data; a bit more where they are encrypted


_ENDS: dict[str, Callable[[Bytes], int]] = {
    "mp4": _mp4_end, "avi": _avi_end, "matroska": _matroska_end, "tta": tta_end, "asf": _asf_end, "flv": _flv_end,
}  # fmt: skip


_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_EMPTY_BYTES = 50  # of its own header: what a stream begins with
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEADER_BYTES = 1 << 16
_MOST_ELEMENTS = 10_000


def has_duration(source: Bytes) -> bool:
    """Tell a duration in front of the first cluster, where a live stream has none."""
    at = 0
    for _ in range(_MOST_ELEMENTS):
        name, body, end = _element(source, at)
        if name in (b"", _CLUSTER, _DURATION):
            return name == _DURATION
        at = body if name in (_MATROSKA[1], _INFO) else end
    return True


def asf_seconds(source: Bytes) -> float:
    """Read the duration in the header, from zero on; 0 in a broadcast's. FFmpeg gives none for a file that was cut."""
    head = source.at(0, _HEADER_BYTES)
    at = head.find(_FILE_PROPERTIES)
    if at < 0 or number(head, at + 88, 4, "little") & 1:
        return 0.0
    return number(head, at + 64, 8, "little") / 1e7 - number(head, at + 80, 8, "little") / 1e3
