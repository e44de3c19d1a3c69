"""Manifests of JSON lines, and the paths in them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from deident.errors import SettingError


def located(path: str, base: Path) -> str:
    """Resolve a path in a manifest: as it is where it exists, else from the manifest's folder."""
    return path if "://" in path or os.path.exists(path) else os.fspath(base / path)


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read the objects in a file of JSON lines, gzipped or not. Raises `SettingError` for anything else."""
    try:
        with _opened(path) as file:
            for line in file:
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise SettingError("expected a JSON object on every line of the manifest")
                yield row
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or "not whole"
        raise SettingError(f"the manifest cannot be read: {why}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise SettingError("the manifest is not JSON lines in UTF-8") from None


def _opened(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")
