"""The public manifest: the columns it may have, in one spelling only."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from deident.audit.promise import AUDIT_VERSION, RATE

COLUMNS = ("name", "seconds", "sample_rate", "sha256", "audit")
LABELS, SPEAKER = "labels", "speaker"
LONGEST_LINE = 1 << 20  # bytes; a transcript of ten seconds takes a thousandth of it
_NAME = re.compile(r"[0-9a-f]{32}\.(?:wav|flac)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")


class Row(NamedTuple):
    """One snippet's line in the manifest."""

    name: str
    seconds: float
    sha256: str
    labels: Mapping[str, object] = MappingProxyType({})

    @property
    def is_speaker_opaque(self) -> bool:
        """Tells whether its speaker, if it has one, is a keyed pseudonym: it names nobody, and is fit for a path."""
        speaker = self.labels.get(SPEAKER, "0" * 32)
        return isinstance(speaker, str) and bool(_PSEUDONYM.fullmatch(speaker))


class _LineError(ValueError):
    """A line that a manifest must not have; the message says what is wrong with it."""


def read_rows(descriptor: int, report: Callable[[str, str], None]) -> Iterator[Row]:
    """The rows of an open manifest, names rising. `report` gets (code, message) for any other line."""
    with os.fdopen(descriptor, "rb") as file:
        number, last = 0, ""
        while line := file.readline(LONGEST_LINE):
            number += 1
            try:
                row = parse_row(line)
                if row.name <= last:
                    raise _LineError("repeats a name or is not sorted by name")
            except _LineError as error:
                report("manifest", f"line {number} of the manifest {error}")
            else:
                last = row.name
                yield row


def parse_row(line: bytes) -> Row:
    """One line, which must be the one way to write what it says. Raises `ValueError`."""
    try:
        text = line.decode("utf-8")
        values = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _LineError("is not JSON") from None
    if not isinstance(values, dict) or tuple(values) not in (COLUMNS, (*COLUMNS, LABELS)):
        raise _LineError("has other columns than it may, or in another order")
    spellings = {
        json.dumps(values, separators=(",", ":"), ensure_ascii=plain) + "\n" for plain in (True, False)
    }
    if text not in spellings:  # spaces, repeated columns and other spellings could carry something
        raise _LineError("is not in the one spelling a manifest has")
    name, seconds, rate, digest, version = (values[column] for column in COLUMNS)
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise _LineError("has a name that is not a snippet's")
    if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        raise _LineError("has a checksum that is not one")
    if not isinstance(seconds, float) or not math.isfinite(seconds):
        raise _LineError("has a duration that is not a number of seconds")
    if type(rate) is not int or rate != RATE or type(version) is not int or version != AUDIT_VERSION:
        raise _LineError(f"has another sample rate than {RATE}, or another audit than {AUDIT_VERSION}")
    if LABELS in values and not _are_labels(values[LABELS]):
        raise _LineError("has labels that are not text, numbers or truth values by name")
    return Row(name, seconds, digest, values.get(LABELS, {}))


def _are_labels(labels: object) -> bool:
    """Tell whether labels are text and finite numbers by name."""
    if not isinstance(labels, dict):
        return False
    return all(
        isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
        for value in labels.values()
    )


def _no_constant(name: str) -> float:
    """Refuse NaN and infinity, which JSON does not have."""
    raise ValueError(name)
