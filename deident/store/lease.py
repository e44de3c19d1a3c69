"""One run at a time, where there are no locks: a lease that ends by itself when its run is dead.

Every run puts a lease of its own and then looks for others. Object stores list what was put before (S3, GCS
and Azure all do since 2020), so of two runs that start together at least one sees the other, and ends.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
import time
from typing import ClassVar

from deident.errors import StoreError
from deident.store.objects import Objects
from deident.uris import PRIVATE

LEASE_SECONDS = 120.0
HALF_WRITTEN_SECONDS = 1.0
_BEATS = 4  # a lease is renewed so often before it would end


class Lease:
    """Held from here to `release`, renewed by a thread. Clocks of machines may differ by a part of `seconds`."""

    FOLDER: ClassVar[str] = f"{PRIVATE}/lease"

    def __init__(self, folder: Objects, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._name = f"{self.FOLDER}/{secrets.token_hex(16)}"
        self._ended = threading.Event()
        self._until = time.time() + seconds
        self._renew()
        try:
            self._refuse_second()
        except BaseException:
            folder.remove([self._name])
            raise
        self._thread = threading.Thread(target=self._beat, daemon=True, name="deident-lease")
        self._thread.start()

    def check(self) -> None:
        """Raises `StoreError` when the lease ran out unrenewed: another run may have begun."""
        if (
            time.time() > self._until
        ):  # the clock that the other run goes by; it goes on while a machine sleeps
            raise StoreError(
                "this run lost its hold of the store: it could not be renewed in time; run the same command again",
                "locked",
            )

    def release(self) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(StoreError):
            self._folder.remove([self._name])

    def _renew(self) -> None:
        """Write a later end, unless the lease has run out."""
        until = time.time() + self._seconds
        self._folder.put({self._name: str(until).encode()})
        if time.time() <= self._until:
            self._until = until

    def _beat(self) -> None:
        """Until it is too late: a lease that ran out stays so, for another run may be at work since."""
        while not self._ended.wait(self._seconds / _BEATS) and time.time() <= self._until:
            with contextlib.suppress(StoreError):  # the next beat tries again
                self._renew()

    def _refuse_second(self) -> None:
        ended = self.refuse(self._folder, self._name, self._seconds)
        self._folder.remove(ended)

    @classmethod
    def refuse(cls, folder: Objects, own: str = "", seconds: float = LEASE_SECONDS) -> list[str]:
        """Raise `StoreError` when another run holds the store. Returns the leases that ended."""
        ended = []
        for name in folder.names(cls.FOLDER):
            path = f"{cls.FOLDER}/{name}"
            if path != own and (until := _end_of(folder, path)) is not None:
                if until > time.time():
                    raise StoreError(
                        "another run is at work in this store; wait for it, or choose another. One that was killed"
                        f" holds it for {seconds:.0f} s",
                        "locked",
                    )
                ended.append(path)
        return ended


def _end_of(folder: Objects, path: str) -> float | None:
    """Return when a lease ends, None for one that is gone. One that cannot be read was half-written: it is given a
    moment to become whole, and has ended then, for its run died.
    """
    for attempt in range(2):
        raw = folder.get(path)
        if raw is None:
            return None
        with contextlib.suppress(ValueError):
            if math.isfinite(until := float(raw)):
                return until
        if not attempt:
            time.sleep(HALF_WRITTEN_SECONDS)
    return -math.inf
