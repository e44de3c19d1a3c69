"""Data sets in the formats of the trade: thin readers that give recordings, thin writers of what a store holds.

Each writer is a function (items, out); none needs the package whose format it writes, but for Parquet. What
is written has no source's name, order or time, and is the same for the same store."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path

from deident.datasets.items import Item, read_items
from deident.errors import SettingError

FORMATS = {
    "kaldi": "deident.datasets.kaldi",
    "lhotse": "deident.datasets.lhotse",
    "parquet": "deident.datasets.huggingface",
    "webdataset": "deident.datasets.webdataset",
    "nemo": "deident.datasets.nemo",
    "label-studio": "deident.datasets.label_studio",
}

__all__ = ["FORMATS", "Item", "export", "read_items"]


def export(items: Iterable[Item], to: str, out: str | Path) -> int:
    """Write snippets of a store to a new folder in one of `FORMATS`; returns how many.

    Raises `SettingError` for another format, `StoreError` when the folder is there already, or a snippet is
    not what the manifest says."""
    if to not in FORMATS:
        raise SettingError(f"expected a format of {', '.join(FORMATS)}")
    write: Callable[[Iterable[Item], Path], int] = importlib.import_module(FORMATS[to]).write
    return write(items, Path(out))
