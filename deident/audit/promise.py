"""The promises about everything released, written down apart from the code that writes it.

Nothing here is taken from the writer: a constant that both shared would be wrong in both.
"""

from __future__ import annotations

from dataclasses import dataclass

from deident.errors import StoreError

AUDIT_VERSION = 1
RATE = 16_000  # Hz
SAMPLE_BYTES = 2


class AuditError(StoreError):
    """A promise about what is released is broken."""

    code = "audit"


@dataclass(frozen=True, slots=True)
class Inspected:
    """A snippet whose bytes have been proved.

    Attributes
    ----------
    format : str
        ``wav`` or ``flac``.
    samples : int
        Its length.
    rate : int
        Samples per second.
    seconds : float
        Its duration.
    """

    format: str
    samples: int
    rate: int

    @property
    def seconds(self) -> float:
        return self.samples / self.rate
