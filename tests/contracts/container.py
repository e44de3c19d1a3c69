"""The contract of containers: functions that assert what each must do."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from deident.audio import RATE
from deident.codec import decode
from deident.containers import CONTAINERS, Container, recognise
from deident.containers.source import Memory
from deident.errors import RecordingError
from deident.scanners import scan
from tests.recordings import SECONDS


def is_recognised(container: Container, content: bytes) -> None:
    tag = b"ID3\3\0\0\0\0\0\x0a" + bytes(10)
    assert recognise(Memory(content), 0, len(content)) is container
    assert recognise(Memory(tag + content), len(tag), len(tag) + len(content)) is container
    others = [other for other in CONTAINERS.values() if other.signatures and other is not container]
    assert not any(other.recognises(Memory(content), 0, len(content)) for other in others)


def is_named(container: Container, content: bytes) -> None:
    suffixes = container.suffixes.split()
    assert suffixes
    assert all(suffix == suffix.lower() and suffix.isalnum() for suffix in suffixes)
    assert container.title
    for other in CONTAINERS.values():
        assert other is container or not set(suffixes) & set(other.suffixes.split())


def is_read_whole(container: Container, content: bytes) -> None:
    coder_delay = 0.15  # seconds; AAC's, at most
    for given in (content, b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + content):
        with decode(io.BytesIO(given), strict=True) as decoding:
            seconds = sum(block.shape[1] for block in decoding) / RATE
        assert seconds == pytest.approx(SECONDS, abs=coder_delay)
        assert (decoding.container, decoding.partial) == (container.name, None)


def is_refused_when_cut(container: Container, content: bytes) -> None:
    for share in (0.2, 0.4):
        cut = io.BytesIO(content[: int(share * len(content))])
        with pytest.raises(RecordingError) as caught, decode(cut, strict=True) as decoding:
            list(decoding)
        assert caught.value.code in ("truncated", "damaged", "undecodable")


def _refusal(content: bytes) -> str | None:
    """Return the code with which a recording is refused."""
    try:
        with decode(io.BytesIO(content)) as decoding:
            list(decoding)
    except RecordingError as error:
        return error.code
    return None


def is_refused_in_words_when_its_header_is_nonsense(container: Container, content: bytes) -> None:
    begin = max(at + len(mark) for marks in container.signatures or (((0, b""),),) for at, mark in marks)
    for filling in (b"\0", b"\1", b"\xff"):
        for stop in (begin + 16, begin + 64):
            nonsense = content[:begin] + filling * (stop - begin) + content[stop:]
            assert _refusal(nonsense) not in ("decoder-crashed", "limit-time", "limit-memory")


def is_read_on_or_partial_where_another_is_glued(container: Container, content: bytes) -> None:
    try:
        with decode(io.BytesIO(content + content)) as decoding:
            seconds = sum(block.shape[1] for block in decoding) / RATE
    except RecordingError:
        return
    assert decoding.partial or seconds == pytest.approx(2 * SECONDS, abs=0.3)


def is_scanned(container: Container, content: bytes) -> None:
    word = b"Canary in a tag"
    planted = content + b"TAG" + word.ljust(125, b"\0")
    found = [finding.kind for finding in scan(content)]
    assert ("container" in found) == (not container.scanner)
    assert any(word in finding.value for finding in scan(planted))


CONTAINER_CONTRACTS: list[Callable[[Container, bytes], None]] = [
    is_recognised,
    is_named,
    is_read_whole,
    is_refused_when_cut,
    is_refused_in_words_when_its_header_is_nonsense,
    is_read_on_or_partial_where_another_is_glued,
    is_scanned,
]
