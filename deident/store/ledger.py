"""The ledger: what a store remembers, in SQLite. Its commits are the points of no return.

It holds keyed digests, opaque names and counts; nothing of a source that could be read. Tables are ordered
by their keys, which are random, so that no row number tells what came together.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from deident.errors import StoreError
from deident.store.rows import Entry, Released, Staged, values

STORE_VERSION = "4"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recordings (
    place BLOB PRIMARY KEY, content BLOB NOT NULL, state TEXT NOT NULL, policy TEXT NOT NULL,
    origin BLOB NOT NULL, file BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_content ON recordings (content);
CREATE INDEX IF NOT EXISTS by_origin ON recordings (origin);
CREATE INDEX IF NOT EXISTS by_file ON recordings (file);
CREATE TABLE IF NOT EXISTS staged (
    name TEXT PRIMARY KEY, spool TEXT NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL,
    seconds REAL NOT NULL, sha256 TEXT NOT NULL, labels TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS released (
    name TEXT PRIMARY KEY, seconds REAL NOT NULL, sha256 TEXT NOT NULL, labels TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasing (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""

_COUNT = """
INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = count + excluded.count
"""

_REMEMBER = """
INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (place) DO UPDATE
SET content = excluded.content, state = excluded.state, policy = excluded.policy, origin = excluded.origin,
    file = excluded.file
WHERE recordings.state NOT IN ('released', 'partial', 'erased')
OR excluded.state IN ('released', 'partial', 'erased')
"""  # what was released stays so, whatever a later run `--again` finds there

_FACT = "fact:"
_DAMAGED = "put the newest copy of it back, and of its -wal where there is one, or begin a new store"
_REMEDIES = {
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_BUSY": "another program has it open: end that, and run the same command again",
    "SQLITE_READONLY": "make the store's private folder and all in it yours to write, and run the same command again",
}
_ELSE = "see that the store's private folder can be read and written, and run the same command again"
NO_COUNTS: Mapping[str, int] = {}
NO_FACTS: Mapping[str, str] = {}


class Ledger:
    """A store's memory in the file at `path`.

    durable : every commit outlives a power failure; not needed for an index that is made anew from a log.
    create : make it where it is not there.
    """

    def __init__(self, path: Path, *, durable: bool = True, create: bool = True) -> None:
        with _plain():
            if not path.exists():
                if not create:
                    raise _gone()
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                os.fchmod(descriptor, 0o600)
                os.close(descriptor)
            self._db = sqlite3.connect(path, isolation_level=None)
            with contextlib.ExitStack() as undo:
                undo.callback(self._db.close)
                found = self._version()
                if found is None and not create:
                    raise _gone()
                self._db.execute(f"PRAGMA journal_mode={'WAL' if durable else 'MEMORY'}")
                self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
                self._db.execute("PRAGMA secure_delete=ON")  # which snippets were staged together is wiped
                self._db.executescript(_SCHEMA)
                undo.pop_all()
        if found is None:
            self.set_meta("version", STORE_VERSION)

    def _version(self) -> str | None:
        """Return the ledger's version, None for an empty one. Raises `StoreError` for another version than ours."""
        has_meta = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        found = self.meta("version") if has_meta else None
        if found not in (None, STORE_VERSION):
            raise wrong_version(str(found))
        return found

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all that is done within, or nothing."""
        with _plain():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def facts(self) -> dict[str, str]:
        """Return all that is remembered with `set_fact`."""
        rows = self._db.execute("SELECT name, value FROM meta WHERE name LIKE ?", (f"{_FACT}%",))
        return {str(name).removeprefix(_FACT): str(value) for name, value in rows}

    def set_facts(self, facts: Mapping[str, str]) -> None:
        """Remember texts by name: marks of sealed logs, and the manifest's columns."""
        if facts.items() <= self.facts().items():
            return
        with self._transaction() as db:
            self._set_facts(db, facts)

    def _set_facts(self, db: sqlite3.Connection, facts: Mapping[str, str]) -> None:
        rows = [(_FACT + name, value) for name, value in facts.items()]
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def store_id(self) -> str:
        """Return 32 random hexadecimal digits that tell this store from another under the same key."""
        if (known := self.meta("id")) is None:
            known = secrets.token_hex(16)
            self.set_meta("id", known)
        return known

    def entry(self, place: bytes) -> Entry | None:
        row = self._db.execute("SELECT * FROM recordings WHERE place = ?", (place,)).fetchone()
        return None if row is None else Entry(*row)

    def policies(self, entry: Entry) -> set[str]:
        """Return the settings under which a sound, or another version of it, was released and not erased since."""
        found = self._db.execute(
            "SELECT policy FROM recordings WHERE (content = ? OR origin = ? OR file = ?)"
            " AND state IN ('released', 'partial')",
            (entry.content, entry.origin, entry.file),
        )
        return {str(row[0]) for row in found}

    def is_released(self, content: bytes, *, again: bool) -> bool:
        """Tell whether a sound may not be released: it was before, or (whatever is asked) it was erased."""
        found = self._db.execute("SELECT DISTINCT state FROM recordings WHERE content = ?", (content,))
        return bool({row[0] for row in found} & ({"erased"} if again else {"erased", "released", "partial"}))

    def versions(self, entry: Entry) -> tuple[set[str], set[str]]:
        """Return the states of other audio from the same file, and of what begins alike at the same place."""
        same_file, same_start = (
            self._db.execute(
                f"SELECT DISTINCT state FROM recordings WHERE {column} = ? AND content != ?",  # noqa: S608
                (value, entry.content),
            )
            for column, value in (("file", entry.file), ("origin", entry.origin))
        )
        return {row[0] for row in same_file}, {row[0] for row in same_start}

    def holds(self, names: Iterable[str]) -> set[str]:
        """Return those of the names that snippets here already have, released or on their way."""
        query = "SELECT name FROM staged WHERE name = ? UNION SELECT name FROM released WHERE name = ?"
        return {name for name in names if self._db.execute(query, (name, name)).fetchone()}

    def commit(
        self,
        done: Iterable[tuple[Entry, list[Staged]]],
        *,
        again: bool,
        counts: Mapping[str, int] = NO_COUNTS,
    ) -> list[bool]:
        """Remember recordings and their finished snippets, all or nothing: the point of no return.

        Returns for each whether it counts. One whose sound was released before does not: its snippets are
        forgotten, unless `again`; nor does one that was erased, whatever is asked.
        """
        kept = []
        with self._transaction() as db:
            db.executemany(_COUNT, counts.items())
            for entry, snippets in done:
                fresh = not snippets or not self.is_released(entry.content, again=again)
                kept.append(fresh)
                if not fresh:
                    continue
                db.execute(_REMEMBER, values(entry))
                db.executemany(
                    "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(s.name, s.spool, s.start, s.size, s.seconds, s.sha256, s.labels) for s in snippets],
                )
        return kept

    def counts(self, names: Iterable[str]) -> dict[str, int]:
        """Return what was counted under these names over the life of the store; those of nothing are left out."""
        query = "SELECT count FROM counts WHERE name = ?"
        found = {name: self._db.execute(query, (name,)).fetchone() for name in names}
        return {name: int(row[0]) for name, row in found.items() if row}

    def all_counts(self) -> dict[str, int]:
        """Return everything that was counted."""
        return {str(name): int(count) for name, count in self._db.execute("SELECT name, count FROM counts")}

    def highest(self, kind: str) -> int:
        """Return the highest count under a name that begins with a kind and a colon; 0 where there is none."""
        row = self._db.execute("SELECT max(count) FROM counts WHERE name GLOB ?", (f"{kind}:*",)).fetchone()
        return int(row[0] or 0)

    def sounds(self) -> dict[str, int]:
        """Return the number of different sounds by the state of their recordings."""
        found = self._db.execute("SELECT state, count(DISTINCT content) FROM recordings GROUP BY state")
        return {str(state): int(count) for state, count in found}

    def load(
        self,
        entries: Iterable[Entry],
        staged: Iterable[Staged],
        released: Iterable[Released],
        counts: Mapping[str, int] = NO_COUNTS,
    ) -> None:
        """Take in what a log says; what is released is no longer staged."""
        with self._transaction() as db:
            db.executemany(_COUNT, counts.items())
            db.executemany(_REMEMBER, map(values, entries))
            db.executemany("INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?, ?, ?)", map(values, staged))
            for row in released:
                db.execute("INSERT OR REPLACE INTO released VALUES (?, ?, ?, ?)", values(row))
                db.execute("DELETE FROM staged WHERE name = ?", (row.name,))

    def pieces(self, rows: int) -> Iterator[tuple[list[Entry], list[Released]]]:
        """Yield all recordings and released snippets, at most `rows` of each at a time; at least one piece."""
        recordings = self._db.execute("SELECT * FROM recordings ORDER BY place")
        released = self.released()
        while True:
            entries = [Entry(*row) for row in recordings.fetchmany(rows)]
            snippets = list(islice(released, rows))
            yield entries, snippets
            if len(entries) < rows and len(snippets) < rows:
                return

    def strangers(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that are neither released, nor on their way, nor to be erased."""
        missing = [name for name in names if not self.has(name)]
        query = "SELECT 1 FROM staged WHERE name = ? UNION SELECT 1 FROM erasing WHERE name = ?"
        return [name for name in missing if not self._db.execute(query, (name, name)).fetchone()]

    def staged(self) -> list[Staged]:
        return [Staged(*row) for row in self._db.execute("SELECT * FROM staged")]

    def mark_released(self) -> None:
        """Record that all that was staged is in the store now."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO released SELECT name, seconds, sha256, labels FROM staged")
            db.execute("DELETE FROM staged")
            self._manifest_is_old(db)

    def erase(
        self,
        sources: Iterable[tuple[bytes, bytes]],
        names: Iterable[str],
        counts: Mapping[str, int] = NO_COUNTS,
        facts: Mapping[str, str] = NO_FACTS,
    ) -> None:
        """Forget snippets, and remember of their sources (place, content) only that they were erased."""
        with self._transaction() as db:
            db.executemany(_COUNT, counts.items())
            self._set_facts(db, facts)
            self._manifest_is_old(db)
            for place, content in sources:
                db.execute(
                    "UPDATE recordings SET state = 'erased' WHERE place = ? OR content = ?", (place, content)
                )
            for name in names:
                db.execute("INSERT OR IGNORE INTO erasing VALUES (?)", (name,))
                db.execute("DELETE FROM released WHERE name = ?", (name,))
                db.execute("DELETE FROM staged WHERE name = ?", (name,))

    def _manifest_is_old(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM meta WHERE name = 'manifest'")

    def set_manifest(self, size: int) -> None:
        """Record that the manifest says all that the ledger does, in so many bytes."""
        self.set_meta("manifest", str(size))

    def manifest(self) -> int | None:
        """Return the size of the manifest in bytes; None when it must be written anew."""
        size = self.meta("manifest")
        return None if size is None else int(size)

    def erasing(self) -> list[str]:
        """Return the names whose files are to be removed, if they are there still."""
        return [row[0] for row in self._db.execute("SELECT name FROM erasing")]

    def mark_erased(self) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM erasing")

    def has(self, name: str) -> bool:
        return self._db.execute("SELECT 1 FROM released WHERE name = ?", (name,)).fetchone() is not None

    def released(self) -> Iterator[Released]:
        for row in self._db.execute("SELECT * FROM released ORDER BY name"):
            yield Released(*row)


def wrong_version(found: str) -> StoreError:
    """Return the error for a store of another version."""
    return StoreError(
        f"expected a store of version {STORE_VERSION}; got version {found[:8]}: it was made by another deident; go on"
        " with that one, or begin a new store"
    )


def _gone() -> StoreError:
    return StoreError(
        "the store holds snippets, but its ledger is gone: nothing was changed, or all would be released again. Put the"
        " ledger's newest copy back, or begin a new store"
    )


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    """Turn SQLite's errors into one that names no path."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreError(
                "the disk is full: make room, and run the same command again", "disk-full"
            ) from None
        what = getattr(error, "sqlite_errorname", type(error).__name__)
        raise StoreError(f"the store's ledger failed: {what}; {_REMEDIES.get(what, _ELSE)}") from None
    except OSError as error:
        raise StoreError(
            f"the store's ledger cannot be made: {error.strerror}: mend that, and run the same command again"
        ) from None
