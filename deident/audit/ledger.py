"""The ledger of a store in a folder, read by other code than writes it, without changing a byte."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote

from deident.audit.manifest import Row

LEDGER = "ledger.sqlite"
LOCK = "lock"
_FACT = "fact:"


class Memory(NamedTuple):
    """The memory of a store: its snippets, and facts.

    rows : released snippets, names rising.   unfinished : snippets that a stopped run left to be released or removed.
    facts : texts by name.   counts : what was counted over the life of the store, by kind and pseudonym.
    sounds : different sounds by the state of their recordings.
    """

    rows: Callable[[], Iterator[Row]]
    unfinished: int
    facts: Mapping[str, str]
    counts: Mapping[str, int] = MappingProxyType({})
    sounds: Mapping[str, int] = MappingProxyType({})

    @property
    def columns(self) -> frozenset[str]:
        """The labels that may stand in the manifest."""
        return frozenset(json.loads(self.facts.get("columns", "[]")))

    @property
    def has_history(self) -> bool:
        """Tells whether snippets were given to reviewers."""
        return any(name.startswith("mark of ") and name != "mark of linkage" for name in self.facts)


@contextlib.contextmanager
def memory_of(private: str) -> Iterator[Memory]:
    """Open the ledger in a private folder. Raises `sqlite3.Error` or `OSError` for one that cannot be read."""
    with _opened(Path(private) / LEDGER) as db:
        meta = {str(name): str(value) for name, value in db.execute("SELECT name, value FROM meta")}
        facts = {name.removeprefix(_FACT): value for name, value in meta.items() if name.startswith(_FACT)}
        (unfinished,) = db.execute(
            "SELECT (SELECT count(*) FROM staged) + (SELECT count(*) FROM erasing)"
        ).fetchone()

        def rows() -> Iterator[Row]:
            for name, seconds, digest, labels in db.execute(
                "SELECT name, seconds, sha256, labels FROM released ORDER BY name"
            ):
                yield Row(name, seconds, digest, json.loads(labels))

        own = {name: meta.get(name, "") for name in ("id", "key", "version")}
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        counts = db.execute("SELECT name, count FROM counts") if "counts" in tables else ()
        sounds = db.execute("SELECT state, count(DISTINCT content) FROM recordings GROUP BY state")
        yield Memory(rows, int(unfinished), own | facts, dict(counts), dict(sounds))


def is_in_use(private: str) -> bool:
    """Tell whether a run is at work in a store in a folder."""
    try:
        lock = os.open(
            os.path.join(private, LOCK), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database. SQLite would write a file beside it to read the log that a stop left: then it gets a copy."""
    log = path.with_name(f"{path.name}-wal")
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode):  # a pipe would be waited for
        raise OSError
    with contextlib.ExitStack() as stack:
        is_copied = log.is_file() and bool(log.stat().st_size)
        if is_copied:
            copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deident-")))
            shutil.copyfile(log, copies / log.name)
            path = Path(shutil.copyfile(path, copies / path.name))
            how = "mode=rw"
        else:
            how = "mode=ro&immutable=1"
        db = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)
        stack.enter_context(contextlib.closing(db))
        (pages,), (page_bytes,) = (db.execute(f"PRAGMA {n}").fetchone() for n in ("page_count", "page_size"))
        if not is_copied and pages * page_bytes != info.st_size:
            raise ValueError("something else follows the ledger in its file")
        yield db
