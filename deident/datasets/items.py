"""The snippets of a store, with the text, words, speakers and labels that were carried."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from deident.datasets.package import escaped, is_safe
from deident.errors import SettingError, StoreError
from deident.segmentation.turns import CARRIED, words_from_json
from deident.store import Link

Value = str | int | float | bool


@dataclass(frozen=True, repr=False)
class Item:
    """A snippet in a store.

    Attributes
    ----------
    id : str
        Its name in data sets: its speaker's pseudonym, if there is one, and the stem of its file.
    name : str
        Its file's name.
    path : Path
    seconds : float
    rate : int
        Hz.
    sha256 : str
        Digest of the file, as the manifest has it.
    text, speaker : str or None
        None where they were not carried.
    words, phones : tuple of (float, float, str)
        Start, stop and text, in seconds.
    labels : dict of str to value
        The other labels that were carried.
    """

    id: str
    name: str
    path: Path
    seconds: float
    rate: int
    sha256: str
    text: str | None = None
    speaker: str | None = None
    words: tuple[tuple[float, float, str], ...] = ()
    phones: tuple[tuple[float, float, str], ...] = ()
    labels: dict[str, Value] = field(default_factory=dict)

    def read(self) -> bytes:
        """Read the file. Raises `StoreError` unless it is what the manifest says."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise StoreError(f"a snippet of the store cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise StoreError("a snippet is not what the manifest says; run `deident audit` on the store")
        return data

    @property
    def file(self) -> str:
        """The name for its file in a data set: its id and suffix, escaped."""
        return f"{escaped(self.id)}.{self.suffix}"

    @property
    def suffix(self) -> str:
        """The ending of its file: wav or flac."""
        return self.name.rpartition(".")[2]

    def __repr__(self) -> str:
        return "Item(hidden)"


def read_items(store: str | os.PathLike[str]) -> list[Item]:
    """Read the snippets of a store.

    Parameters
    ----------
    store : str or path-like
        The store's folder.

    Returns
    -------
    list of Item
        Sorted by id.

    Raises
    ------
    StoreError
        If there is no store, or its manifest is damaged.
    """
    from deident.store import MANIFEST, folder_of, is_store
    from deident.uris import FORMAT

    place = folder_of(store)
    try:
        if not is_store(place) and not (place / FORMAT).is_file():  # a copy of one that was made at a URI
            raise StoreError("expected a store that `deident run` made; there is none at that place")
        lines = (place / MANIFEST).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise StoreError(f"the manifest cannot be read: {error.strerror}") from None
    return sorted((_item(place, line) for line in lines if line), key=lambda item: item.id)


def _item(place: Path, line: str) -> Item:
    """Parse a line of the manifest."""
    try:
        row = json.loads(line)
        labels: dict[str, Value] = row.get("labels", {})
        text, words, phones, speaker = (labels.get(name) for name in CARRIED)
        stem = row["name"].rpartition(".")[0]
        if not is_safe(row["name"]):
            raise ValueError
        return Item(
            id=escaped(f"{speaker}-{stem}" if speaker is not None else stem),
            name=row["name"],
            path=place / row["name"],
            seconds=row["seconds"],
            rate=row["sample_rate"],
            sha256=row["sha256"],
            text=None if text is None else str(text),
            speaker=None if speaker is None else escaped(str(speaker)),
            words=tuple(words_from_json(str(words))) if words is not None else (),
            phones=tuple(words_from_json(str(phones))) if phones is not None else (),
            labels={name: value for name, value in labels.items() if name not in CARRIED},
        )
    except (ValueError, KeyError, TypeError):
        raise StoreError("a line of the manifest is not one; run `deident audit` on the store") from None


def with_ids(items: Iterable[Item], links: Iterable[Link]) -> list[Item]:
    """Give back their ids and speakers of the source to snippets that hold a whole utterance.

    The result names everybody in it. Raises `SettingError` when the linkage has no ids, one is not fit for a file's
    name, or two snippets have one.
    """
    known = {
        name: (id, link.speaker)
        for link in links
        for name, id in zip(link.names, link.utterances, strict=False)
        if id
    }
    named = [
        replace(item, id=known[item.name][0], speaker=known[item.name][1] or known[item.name][0])
        for item in items
        if item.name in known
    ]
    if not named:
        raise SettingError(
            "the linkage tells no ids of utterances: run with --linkage on a data set that has ids, such as --kaldi"
        )
    if len({item.id for item in named}) < len(named):
        raise SettingError(
            "an utterance was cut into several snippets: run with --whole-turns to keep its id"
        )
    for item in named:
        words = (item.id, str(item.speaker))
        if (
            item.id.startswith(".")
            or "/" in item.id
            or not all(w.isprintable() and w.split() == [w] for w in words)
        ):
            raise SettingError(
                "an id begins with a dot, or holds a slash, white space or what cannot be printed"
            )
    return sorted(named, key=lambda item: item.id)


def one_line(text: str) -> str:
    """Replace white space by single spaces, for formats with an entry a line."""
    return " ".join(text.split())
