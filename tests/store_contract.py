"""Facts that hold of every store, wherever it lies: CONTRACT, each a function of a backend that asserts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from deident.audit import audit_store
from deident.codec import encode_wav
from deident.errors import KeyMaterialError, StoreError
from deident.keys import Key, fresh_name
from deident.store import Entry, Link, Linkage, Staged, Store, audit_linkage, open_spool, open_store
from deident.store.chain import Mark

KEY = Key(bytes(32))


@dataclass(frozen=True)
class Backend:
    """An empty place of one kind. place : a path or URI.   uri : the same, for fsspec."""

    place: str
    uri: str

    def open(self, key: Key | None = KEY, *, create: bool = True) -> Store:
        return open_store(self.place, key=key, create=create)

    def files(self) -> dict[str, bytes]:
        """All files of the store, by their names in it."""
        fs, root = fsspec.core.url_to_fs(self.uri, use_listings_cache=False)
        return {path[len(root) :].lstrip("/"): fs.cat_file(path) for path in fs.find(root)}

    def snippets(self) -> set[str]:
        return {name for name in self.files() if name.endswith(".wav")}

    def change(self, name: str, data: bytes | None) -> None:
        """Write a file's bytes behind the store's back, or remove it."""
        fs, root = fsspec.core.url_to_fs(self.uri, use_listings_cache=False)
        if data is None:
            fs.rm_file(f"{root}/{name}")
        else:
            fs.pipe_file(f"{root}/{name}", data)


Contract = Callable[[Backend], None]


def entry(store: Store, name: str, state: str = "released") -> Entry:
    return Entry(
        store.place(name), store.content(name), state, "policy", store.origin(name, ""), store.file("")
    )


def stage(store: Store, count: int, labels: str = "{}") -> tuple[list[Staged], str]:
    """Snippets of different sounds in a closed spool, and its name."""
    spool, made = open_spool(str(store.staging)), []
    for _ in range(count):
        number = int.from_bytes(fresh_name()[:4].encode(), "big")
        data = encode_wav(np.random.default_rng(number).integers(-9_000, 9_000, 8_000, dtype=np.int16))
        digest = hashlib.sha256(data).hexdigest()
        name = f"{fresh_name()}.wav"
        made.append(Staged(name, "", spool.append(data), len(data), 0.5, digest, labels))
    spool.close()
    return [replace(staged, spool=spool.name) for staged in made], spool.name


def add(store: Store, name: str, count: int = 3) -> list[str]:
    """Commit a recording with so many snippets; their names."""
    staged, spool = stage(store, count)
    assert store.commit([(entry(store, name), staged)], spool=spool) == [True]
    return [snippet.name for snippet in staged]


def everything_committed_is_released_once(backend: Backend) -> None:
    with backend.open() as store:
        names = sorted(add(store, "a") + add(store, "b"))
        store.recover()
        assert list(store.names()) == names
        assert all(map(store.has, names))
    assert backend.snippets() == set(names)
    rows: list[dict[str, Any]] = [json.loads(line) for line in backend.files()["manifest.jsonl"].splitlines()]
    assert [row["name"] for row in rows] == names
    assert audit_store(backend.place, max_seconds=10).clean


def a_full_window_is_released_at_once(backend: Backend) -> None:
    with backend.open() as store:
        name = add(store, "a", 1)
        assert not backend.snippets()
        store.commit([(entry(store, str(n), "no-speech"), []) for n in range(Store.WINDOW)])
        assert backend.snippets() == set(name)


def nothing_is_left_that_the_next_run_does_not_need(backend: Backend) -> None:
    with backend.open() as store:
        add(store, "a")
        stage(store, 2)  # of a worker that died
        store.recover()
        staging = [name for name in backend.files() if "/staging/" in name]
        assert not staging


def a_store_remembers(backend: Backend) -> None:
    with backend.open() as store:
        add(store, "a")
        store.recover()
        first = store.id
    before = backend.files()
    with backend.open() as store:
        found = store.entry(store.place("a"))
        assert found is not None
        assert (found.state, store.id) == ("released", first)
        assert store.entry(store.place("b")) is None
    public = [{n: data for n, data in files.items() if "/" not in n} for files in (before, backend.files())]
    assert public[0] == public[1]


def the_same_sound_is_not_released_twice(backend: Backend) -> None:
    with backend.open() as store:
        first = add(store, "a")
        second, spool = stage(store, 2)
        moved = replace(entry(store, "elsewhere"), content=store.content("a"), policy="other policy")
        assert store.commit([(moved, second)], spool=spool) == [False]
        assert store.is_released(moved.content)
        assert store.commit([(moved, second)], spool=spool, again=True) == [True]
        store.recover()
    assert backend.snippets() == {*first, *(snippet.name for snippet in second)}


def erased_snippets_are_gone_and_stay_away(backend: Backend) -> None:
    with backend.open() as store:
        gone, kept = add(store, "a"), add(store, "b")
        store.recover()
        erased = entry(store, "a")
        store.erase([(erased.place, erased.content)], gone)
        assert backend.snippets() == set(kept)
    everything = b"".join(backend.files().values())
    assert not any(name.encode() in everything for name in gone)
    with backend.open() as store:
        staged, spool = stage(store, 1)
        assert store.commit([(erased, staged)], spool=spool, again=True) == [False]
        store.recover()
    assert backend.snippets() == set(kept)
    assert audit_store(backend.place).clean


def versions_of_a_recording_are_known_by_file_and_start(backend: Backend) -> None:
    with backend.open() as store:

        def version(name: str, place: str, head: str, file: str) -> Entry:
            origin = store.origin(place, head)
            return Entry(store.place(name), store.content(name), "released", "p", origin, store.file(file))

        first = version("a", "a", "head", "file")
        store.commit([(first, [])])
        assert store.versions(first) == (set(), set())
        assert store.versions(version("b", "a", "head", "other")) == (set(), {"released"})
        assert store.versions(version("b", "b", "head", "file")) == ({"released"}, set())
        for apart in (("b", "b", "head", "other"), ("b", "a", "", ""), ("b", "a", "x", "y")):
            assert store.versions(version(*apart)) == (set(), set())
        assert store.policies(version("b", "a", "head", "other")) == {"p"}
        store.commit([(version("c", "c", "", ""), [])])
        unknown = store.versions(version("d", "c", "", ""))
        assert unknown == (set(), set())  # nothing known is nothing in common
        store.erase([(first.place, first.content)], [])
        assert store.versions(version("b", "a", "head", "file")) == ({"erased"}, {"erased"})


def a_second_run_at_a_time_is_refused(backend: Backend) -> None:
    with backend.open(), pytest.raises(StoreError, match="another run") as caught:
        backend.open()
    assert caught.value.code == "locked"
    backend.open().close()


def keys_must_match(backend: Backend) -> None:
    backend.open().close()
    assert "key" not in {name.rpartition("/")[2] for name in backend.files()}
    with pytest.raises(KeyMaterialError, match="not the key"):
        backend.open(Key.fresh())
    with pytest.raises(KeyMaterialError, match="give the same"):
        backend.open(None)
    backend.open().close()


def a_store_without_a_key_has_its_own(backend: Backend) -> None:
    with backend.open(None) as store:
        add(store, "a")
    with backend.open(KEY) as store:
        assert store.entry(store.place("a")) is not None


def foreign_places_are_refused_untouched(backend: Backend) -> None:
    with pytest.raises(StoreError, match="earlier run"):
        backend.open(create=False)
    assert not backend.uri.startswith("memory") or not backend.files()
    fs, root = fsspec.core.url_to_fs(backend.uri)
    fs.makedirs(root, exist_ok=True)
    backend.change("photo.jpg", b"of somebody")
    with pytest.raises(StoreError, match="other files"):
        backend.open()
    assert backend.files() == {"photo.jpg": b"of somebody"}


def a_spool_that_changed_is_not_released(backend: Backend) -> None:
    with backend.open() as store:
        staged, spool = stage(store, 1)
        store.commit([(entry(store, "a"), staged)], spool=spool)
        (name,) = (name for name in backend.files() if name.endswith(".spool"))
        backend.change(name, backend.files()[name][:-1] + b"x")
        with pytest.raises(StoreError, match="changed before"):
            store.publish()
    assert not backend.snippets()


def a_spool_elsewhere_is_told(backend: Backend) -> None:
    with backend.open() as store:
        staged, spool = stage(store, 1)
        (name,) = (name for name in backend.files() if name.endswith(".spool"))
        backend.change(name, None)
        with pytest.raises(StoreError) as caught:
            store.commit([(entry(store, "a"), staged)], spool=spool)
        assert caught.value.code == "unshared"


def a_store_whose_memory_is_gone_or_older_stops(backend: Backend) -> None:
    with backend.open() as store:
        add(store, "a")
        store.recover()
    older = {name: data for name, data in backend.files().items() if name.startswith(".private/")}
    with backend.open() as store:
        add(store, "b")
        store.recover()
    whole = backend.files()
    memory = {name for name in whole if name.startswith((".private/log", ".private/ledger"))}
    for kept in ({}, {name: data for name, data in older.items() if name in memory or "/log/" in name}):
        for name in memory:
            backend.change(name, None)
        for name, data in kept.items():
            backend.change(name, data)
        before = backend.files()
        with pytest.raises(StoreError, match=r"gone|not there|does not know"):
            backend.open()
        after = backend.files()
        assert {n: d for n, d in after.items() if n not in before or d != before[n]} == {}
        for name in kept:
            backend.change(name, None)
        for name in memory:
            backend.change(name, whole[name])
    backend.open().close()


def a_memory_from_before_an_erasure_stops(backend: Backend) -> None:
    """It would list again what was erased, and release it when asked."""
    with backend.open() as store:
        names = add(store, "a")
        add(store, "b")
        store.recover()
    older = {name: data for name, data in backend.files().items() if name.startswith(".private/l")}
    with backend.open() as store:
        store.erase([(store.place("a"), store.content("a"))], names)
    whole = backend.files()
    for name in {*older, *whole}:
        if name.startswith(".private/l"):
            backend.change(name, older.get(name))
    before = backend.files()
    with pytest.raises(StoreError, match="before an erasure"):
        backend.open()
    after = {name: data for name, data in backend.files().items() if name in before}
    assert after == before
    for name in {*older, *whole}:
        if name.startswith(".private/l"):
            backend.change(name, whole.get(name))
    gone = min(backend.snippets())
    backend.change(gone, None)
    backend.open().close()  # somebody removed a file: an audit tells
    assert ("missing", gone) in {(p.code, p.name) for p in audit_store(backend.place).problems}


def private_files_name_no_source(backend: Backend) -> None:
    with backend.open() as store:
        add(store, "canary/call.wav")
    private = b"".join(data for name, data in backend.files().items() if name.startswith(".private"))
    assert b"canary" not in private


def sealed_logs_are_remembered(backend: Backend) -> None:
    mark = Mark("00" * 16, 1, 7, "11" * 32)
    with backend.open() as store:
        assert store.anchor("linkage").get() is None
        store.anchor("linkage").set(mark)
        store.allow(["language"])
        store.recover()
    with backend.open() as store:
        assert store.anchor("linkage").get() == mark
        assert store.anchor("reviews").get() is None
        add(store, "a")
        store.allow(["text", "language"])
        store.recover()
    with backend.open() as store:
        assert store.anchor("linkage").get() == mark
        assert store.columns() == ["language", "text"]


def an_audit_sees_what_the_store_did_not_release(backend: Backend, folder: Path) -> None:
    """Somebody's original with a line in the manifest; a label that was added; a snippet that was put back."""
    links = folder / "links"
    with backend.open() as store:
        names = add(store, "a")
        link = Link("00", "00", "r", "/p", None, tuple(names), 1, store=store.id)
        linkage = Linkage(links, KEY)
        linkage.attach(store)
        linkage.add([link])
        store.recover()
    assert not proved(backend, links)
    whole = backend.files()
    original = encode_wav(np.full(8_000, 99, np.int16))
    manifest = whole["manifest.jsonl"]
    first = json.loads(manifest.splitlines()[0])
    stranger = f"{'0' * 32}.wav"
    row = json.dumps({**first, "name": stranger, "sha256": hashlib.sha256(original).hexdigest()}, **COMPACT)
    backend.change(stranger, original)
    backend.change("manifest.jsonl", row.encode() + b"\n" + manifest)
    assert proved(backend, links) == {
        ("ledger", stranger): "is in the store, but by the ledger it was never released",
        ("linkage", stranger): "is in the store, and is linked to no source",
    }
    backend.change(stranger, None)
    labelled = json.dumps({**first, "labels": {"speaker": "mueller"}}, **COMPACT).encode()
    backend.change("manifest.jsonl", labelled + manifest[manifest.index(b"\n") :])
    name = first["name"]
    assert set(proved(backend, links)) == {("columns", name), ("ledger", name), ("speaker", name)}
    changed = json.dumps({**first, "sha256": hashlib.sha256(original).hexdigest()}, **COMPACT).encode()
    backend.change(first["name"], original)
    backend.change("manifest.jsonl", changed + manifest[manifest.index(b"\n") :])
    assert set(proved(backend, links)) == {("ledger", first["name"])}
    backend.change("manifest.jsonl", manifest)
    backend.change(first["name"], None)
    assert set(proved(backend, links)) == {("missing", first["name"]), ("linkage", first["name"])}


COMPACT: dict[str, Any] = {"separators": (",", ":")}


def proved(backend: Backend, links: Path) -> dict[tuple[str, str], str]:
    """The problems that an audit with a linkage finds, by code and name; it must change nothing."""
    before = backend.files(), links.read_bytes()
    found = [*audit_store(backend.place).problems, *audit_linkage(backend.place, links, KEY)]
    assert (backend.files(), links.read_bytes()) == before
    return {(p.code, p.name): p.message for p in found if p.code not in ("mode", "time")}


CONTRACT: list[Contract] = [
    sealed_logs_are_remembered,
    everything_committed_is_released_once,
    a_full_window_is_released_at_once,
    nothing_is_left_that_the_next_run_does_not_need,
    a_store_remembers,
    the_same_sound_is_not_released_twice,
    erased_snippets_are_gone_and_stay_away,
    versions_of_a_recording_are_known_by_file_and_start,
    a_second_run_at_a_time_is_refused,
    keys_must_match,
    a_store_without_a_key_has_its_own,
    foreign_places_are_refused_untouched,
    a_spool_that_changed_is_not_released,
    a_spool_elsewhere_is_told,
    a_store_whose_memory_is_gone_or_older_stops,
    a_memory_from_before_an_erasure_stops,
    private_files_name_no_source,
]
