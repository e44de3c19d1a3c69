"""A store in a bucket: the same proofs, without what only a real file system has (modes, times, links)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

from deident.audit.ledger import Memory
from deident.audit.manifest import Row, read_rows
from deident.audit.promise import AuditError
from deident.audit.store import MANIFEST, PRIVATE, SNIPPET_NAME, AuditReport, StoreAudit, side_by_side
from deident.errors import StoreError
from deident.uris import UriFolder


class RemoteAudit(StoreAudit):
    """Of a store at a URI. Reads one snippet at a time."""

    def of_uri(self, uri: str) -> AuditReport:
        """Audit all files."""

        def compare(names: list[str], rows: Iterator[Row]) -> None:
            for _ in self._sizes.keys() - {*names, MANIFEST, PRIVATE}:
                self.broken("stray", "a stray file or folder is in the store; its name is not shown")
            self.paired(names, rows, None)

        return self._read(uri, compare)

    def of_memory(self, uri: str, memory: Memory) -> AuditReport:
        """Compare names and lines with what the store's log says."""
        self.columns = memory.columns

        def compare(names: list[str], rows: Iterator[Row]) -> None:
            known = ((row.name, row) for row in memory.rows())
            files, lines = ((name, name) for name in names), ((row.name, row) for row in rows)
            for name, (file, row, released) in side_by_side(files, lines, known):
                self.compared(name, file, row, released)

        return self._read(uri, compare)

    def _read(self, uri: str, compare: Callable[[list[str], Iterator[Row]], None]) -> AuditReport:
        """Call a function with the names of all snippets and the manifest's lines."""
        try:
            self._folder = UriFolder(uri)
            self._sizes = self._folder.sizes()
            lines = self._folder.get(MANIFEST)
            if lines is None:
                self.broken("manifest", "the manifest is missing or cannot be read")
            with tempfile.TemporaryFile() as file:
                file.write(lines or b"")
                file.flush()
                file.seek(0)
                names = sorted(name for name in self._sizes if SNIPPET_NAME.fullmatch(name))
                compare(names, read_rows(os.dup(file.fileno()), self.broken))
        except StoreError as error:
            self.broken("unreadable", f"the store cannot be read to its end: {error}")
        return self.report()

    def snippet(self, name: str, row: Row | None) -> None:
        size = self._sizes[name]
        try:
            wanted = min(size, self.wanted(size))
            (data,) = self._folder.get_ranges([(name, 0, wanted)])
            samples = self.sound(data, size, name, row)
        except StoreError as error:
            code = "bytes" if isinstance(error, AuditError) else "unreadable"
            self.broken(code, str(error), name)
        else:
            self.files += 1
            self.samples += samples
