"""Rows of the ledger: snippets that are finished or released, and the recordings they are of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Labels = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Staged:
    """A snippet that is finished and not yet released.

    Attributes
    ----------
    name : str
        The file's, with its ending.
    spool : str
        The spool that holds it.
    start, size : int
        Its bytes in the spool.
    seconds : float
        Its duration.
    sha256 : str
        Of its bytes.
    labels : str
        A JSON object, for the manifest.
    """

    name: str
    spool: str
    start: int
    size: int
    seconds: float
    sha256: str
    labels: str = field(default="{}", repr=False)


@dataclass(frozen=True)
class Released:
    """A snippet that was released; see `Staged` for its attributes."""

    name: str
    seconds: float
    sha256: str
    labels: str

    def line(self, rate: int, audit: int) -> str:
        """Write its line of the manifest. rate : Hz.   audit : version of the promises that were proved."""
        if self.labels == "{}":  # as nearly all are; a tenth of the time
            return (
                f'{{"name":"{self.name}","seconds":{self.seconds!r},"sample_rate":{rate},'
                f'"sha256":"{self.sha256}","audit":{audit}}}\n'
            )
        row: dict[str, object] = {
            "name": self.name,
            "seconds": self.seconds,
            "sample_rate": rate,
            "sha256": self.sha256,
            "audit": audit,
        }
        if labels := json.loads(self.labels):
            row["labels"] = labels
        return json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Entry:
    """A recording that is done. All digests are keyed: see `Store.place` and what follows it.

    Attributes
    ----------
    place : bytes
        Digest of its path, size and time.
    content : bytes
        Digest of its decoded audio.
    state : str
        One of `deident.runs.worker.STATES`, or ``erased``.
    policy : str
        Digest of the settings under which it was done.
    origin : bytes
        Digest of its path and of how its audio begins, which stays when it grows or is repaired.
    file : bytes
        Digest of its bytes, whatever was made of them.
    """

    place: bytes
    content: bytes
    state: str
    policy: str
    origin: bytes
    file: bytes


def values(row: Staged | Released | Entry) -> tuple[Any, ...]:
    """Return the values of a row in the order of the columns, fifty times as fast as `dataclasses.astuple`."""
    return tuple(vars(row).values())
