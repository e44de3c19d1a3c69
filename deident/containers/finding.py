"""Findings of a scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from deident.containers.source import Source

VALUE_BYTES = 4096  # of a value are kept: enough to recognise it by
MOST_FINDINGS = 10_000
MOST_OPEN = 100_000  # ranges that a scan may put off: each takes memory


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a recording that is not its sound.

    Parameters
    ----------
    kind : str
        A short, stable word, such as "riff.bext".
    where : int
        Bytes before it in the file.
    size : int
        Bytes of it.
    what : str
        Description, in words that hold nothing of it.
    value : bytes
        Its first bytes, kept out of repr.
    """

    kind: str
    where: int
    size: int
    what: str
    value: bytes = field(default=b"", repr=False)


class ScanStop(Exception):  # noqa: N818  # it ends a scan; nothing is wrong with the library or the call
    """End of a scan that has done as much work as a recording is worth; `reason` goes into a finding."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Bytes(Source, Protocol):
    """A `Source` that knows its positions in the file."""

    def place(self, position: int) -> int:
        """Give the position in the file of the byte at `position`."""


class Notes:
    """Findings so far, in a recording of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.findings: list[Finding] = []

    def add(self, kind: str, source: Bytes, start: int, stop: int, what: str) -> None:
        """Note the bytes from `start` to before `stop`, as far as there are any.

        Parameters
        ----------
        kind, what : str
            As `Finding` has them.
        source : Bytes
            Bytes in which the two positions count.
        start, stop : int

        Raises
        ------
        ScanStop
            After too many findings.
        """
        if stop <= start or source.place(start) >= self.size:
            return
        if len(self.findings) >= MOST_FINDINGS:
            raise ScanStop(f"more than {MOST_FINDINGS} findings")
        where = source.place(start)
        size = min(self.size, source.place(stop - 1) + 1) - where
        self.findings.append(
            Finding(kind, where, size, what, source.at(start, min(VALUE_BYTES, stop - start)))
        )
