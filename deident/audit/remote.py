"""A store in a bucket: the same proofs, without what only a real file system has (modes, times, links)."""

from __future__ import annotations

import os
import tempfile

from deident.audit.manifest import Row, read_rows
from deident.audit.promise import AuditError
from deident.audit.store import MANIFEST, PRIVATE, SNIPPET_NAME, AuditReport, StoreAudit
from deident.errors import StoreError
from deident.uris import UriFolder


class RemoteAudit(StoreAudit):
    """Reads one snippet at a time."""

    def of_uri(self, uri: str) -> AuditReport:
        try:
            self._folder = UriFolder(uri)
            self._sizes = self._folder.sizes()
            self._everything()
        except StoreError as error:
            self.broken("unreadable", f"the store cannot be read to its end: {error}")
        return self.report()

    def _everything(self) -> None:
        names = sorted(name for name in self._sizes if SNIPPET_NAME.fullmatch(name))
        for _ in self._sizes.keys() - {*names, MANIFEST, PRIVATE}:
            self.broken("stray", "a stray file or folder is in the store; its name is not shown")
        lines = self._folder.get(MANIFEST)
        if lines is None:
            self.broken("manifest", "the manifest is missing or cannot be read")
        with tempfile.TemporaryFile() as file:
            file.write(lines or b"")
            file.flush()
            file.seek(0)
            self.paired(names, read_rows(os.dup(file.fileno()), self.broken))

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
