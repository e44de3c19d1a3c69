"""A store at a URI whose runs are stopped, whose leases end and whose network fails: nothing is lost or doubled."""

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
import pytest

from deident.audit import audit_store
from deident.codec import encode_wav
from deident.errors import StoreError
from deident.keys import fresh_name
from deident.store import Entry, Staged
from deident.store import bucket as bucket_module
from deident.store import lease as lease_module
from deident.store.bucket import BucketSpool, BucketStore
from deident.store.lease import Lease
from deident.store.objects import Objects
from tests.test_buckets import KEY, files, snippets

fsspec = pytest.importorskip("fsspec")


def test_the_lease_of_a_dead_run_ends(place: str) -> None:
    unit = 1.0 if place.startswith("s3") else 0.2  # of seconds: a request takes its time
    folder = Objects(place)
    folder.prepare(".private", Lease.FOLDER)
    folder.put({f"{Lease.FOLDER}/dead": str(time.time() + unit).encode()})
    with pytest.raises(StoreError, match="another run"):
        Lease(folder, 5.0 * unit)
    time.sleep(1.2 * unit)
    lease = Lease(folder, 2.0 * unit)
    time.sleep(3.0 * unit)
    lease.check()  # renewed meanwhile
    lease.release()
    assert not folder.names(Lease.FOLDER)


@pytest.mark.parametrize("written", [b"", b"17", b"not a time", b"nan", b"inf"])
def test_a_lease_that_is_no_time_blocks_nobody(
    written: bytes, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop left it half-written; its run is dead."""
    monkeypatch.setattr(lease_module, "HALF_WRITTEN_SECONDS", 0.01)
    folder = Objects(place)
    folder.prepare(".private", Lease.FOLDER)
    folder.put({f"{Lease.FOLDER}/{'0' * 32}": written})
    BucketStore(place, key=KEY).close()
    assert not folder.names(Lease.FOLDER)


def test_a_lost_lease_stops_the_run(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with BucketStore(place, lease_seconds=0.4) as store:
        monkeypatch.setattr(Lease, "_renew", lambda self: None)  # the network is down
        time.sleep(0.8)
        with pytest.raises(StoreError, match="lost its hold"):
            store.commit([(entry(store, "a"), [])])


def test_a_lease_that_ran_out_is_not_renewed(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that slept must not go on beside the run that began meanwhile."""
    folder = Objects(place)
    folder.prepare(".private", Lease.FOLDER)
    lease = Lease(folder, 0.4)
    renew = Lease._renew
    monkeypatch.setattr(Lease, "_renew", lambda self: None)
    time.sleep(0.6)
    monkeypatch.setattr(Lease, "_renew", renew)
    time.sleep(0.3)
    with pytest.raises(StoreError, match="lost its hold"):
        lease.check()
    other = Lease(folder, 60)
    other.release()
    lease.release()


class Stopped(BaseException):
    """The program ends here, as by kill -9."""


class StoppingFolder(Objects):
    """Stops at the n-th change, before or after it; or there and ever after the network is down."""

    calls = 0
    stop_at = -1
    how = ""

    def put(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            self._counted(super().put, {name: data})

    def put_open_file(self, name: str, file: IO[bytes]) -> None:
        self._counted(super().put_open_file, name, file)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self._counted(super().remove, [name])

    def remove_together(self, names: Sequence[str]) -> None:
        self.remove(names)

    def _counted(self, call: Any, *args: object) -> None:
        kind = StoppingFolder
        kind.calls += 1
        if kind.how == "down" and kind.calls >= kind.stop_at:
            raise StoreError("writing to the store failed: ConnectionError")
        if kind.how == "lost" and kind.calls == kind.stop_at:  # done, but the answer did not come
            call(*args)
            raise StoreError("writing to the store failed: TimeoutError")
        if kind.calls == kind.stop_at and kind.how == "before":
            raise Stopped
        call(*args)
        if kind.calls == kind.stop_at and kind.how == "after":
            raise Stopped


class NoLease:
    FOLDER = Lease.FOLDER

    def __init__(self, folder: Objects, seconds: float) -> None: ...

    def check(self) -> None: ...

    def release(self) -> None: ...


def entry(store: BucketStore, name: str) -> Entry:
    return Entry(
        store.place(name), store.content(name), "released", "policy", store.origin(name, ""), store.file("")
    )


def small_run(place: str) -> None:
    """Three recordings, as a run does them, the first two released together. Goes on where a run stopped."""
    with BucketStore(place, key=KEY) as store:
        try:
            for name in ("a", "b", "c"):
                if store.entry(store.place(name)) is not None:
                    continue
                spool = BucketSpool(store.staging)
                data = encode_wav(np.full(8_000, ord(name), dtype=np.int16))
                starts = [spool.append(data) for _ in range(2)]
                spool.close()
                digest = hashlib.sha256(data).hexdigest()
                staged = [
                    Staged(f"{fresh_name()}.wav", spool.name, s, len(data), 0.5, digest) for s in starts
                ]
                store.commit([(entry(store, name), staged)], spool=spool.name)
        finally:
            store.recover()


@pytest.mark.parametrize("how", ["before", "after", "down", "lost"])
def test_a_stop_at_any_change_loses_nothing_and_doubles_nothing(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "Objects", StoppingFolder)
    monkeypatch.setattr(bucket_module, "Lease", NoLease)
    monkeypatch.setattr(BucketStore, "WINDOW", 2)
    monkeypatch.setattr(StoppingFolder, "how", how)
    base = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setattr(StoppingFolder, "calls", 0)
    monkeypatch.setattr(StoppingFolder, "stop_at", 1 << 30)
    small_run(f"{base}/whole")
    changes = StoppingFolder.calls
    assert changes > 20
    for stop_at in range(1, changes + 1):
        place = f"{base}/{stop_at}"
        StoppingFolder.calls = 0
        monkeypatch.setattr(StoppingFolder, "stop_at", stop_at)
        with pytest.raises((Stopped, StoreError)):
            small_run(place)
        monkeypatch.setattr(StoppingFolder, "stop_at", 1 << 30)
        small_run(place)
        contents = list(snippets(place).values())
        assert sorted(contents.count(c) for c in contents) == [2] * 6, f"stopped {how} change {stop_at}"
        assert len(json_lines(place)) == 6
        assert audit_store(place, max_seconds=10).clean
        private = [name for name in files(place) if name.startswith(".private/")]
        assert len(private) == 4, f"stopped {how} change {stop_at}: {private}"
    fsspec.filesystem("memory").store.clear()


def json_lines(place: str) -> list[Any]:
    return [json.loads(line) for line in files(place)["manifest.jsonl"].splitlines()]


def test_a_changed_spool_or_log_is_not_believed(place: str) -> None:
    with BucketStore(place, key=KEY) as store:
        spool = BucketSpool(store.staging)
        data = encode_wav(np.full(8_000, 1, dtype=np.int16))
        staged = [Staged("0" * 32 + ".wav", "", spool.append(data), len(data), 0.5, "0" * 64)]
        spool.close()
        staged = [Staged(**{**vars(staged[0]), "spool": spool.name})]
        store.commit([(entry(store, "a"), staged)], spool=spool.name)
        with pytest.raises(StoreError, match="changed before"):
            store.publish()
    assert not snippets(place)
