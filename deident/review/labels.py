"""Labels of reviewers, brought back to the snippets of a store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deident.datasets.text_files import errors_at, read_json
from deident.errors import SettingError
from deident.keys import Key
from deident.pages.review import FLAGS
from deident.review.history import history, is_over, snippet_id
from deident.store import FolderStore

_EXPECTED = "expected the labels.json that a reviewer saved, or an export of Label Studio"
_OWN = ("text", "quality", "flag", "remark")


@dataclass(frozen=True, order=True)
class Label:
    """A reviewer's label of a snippet.

    Attributes
    ----------
    snippet : str
        Its name in the store.
    round, reviewer : str
    text : str
        The words, as the reviewer wrote them down.
    quality : str
        How clear they are.
    flag : str
        Why the snippet should not be there; empty where it may stay.
    remark : str
    """

    snippet: str
    round: str
    reviewer: str
    text: str = ""
    quality: str = ""
    flag: str = ""
    remark: str = ""


def collect(store: FolderStore, key: Key, files: Iterable[str | os.PathLike[str]]) -> tuple[list[Label], int]:
    """Read reviewers' labels back to the snippets of a store.

    Parameters
    ----------
    store : FolderStore
        The store that the rounds were made from.
    key : Key
        Of the rounds.
    files : iterable of path-like
        Each the labels.json that a reviewer saved, or a JSON export of Label Studio.

    Returns
    -------
    labels : list of Label
        Those in which a reviewer said anything, sorted.
    left_out : int
        Labels of snippets that are not in the store any more, or whose days in the round are over.

    Raises
    ------
    SettingError
        For a file that is neither, or a label of no snippet in these rounds.
    """
    present = {snippet_id(key, path.name): path.name for path in store.path.iterdir()}
    given = {str(record["file"]): record for record in history(store, key).records() if "file" in record}
    labels: set[Label] = set()
    left_out = 0
    for number, path in enumerate(files, 1):
        with errors_at(f"file {number} of labels"):
            for file, said in _said(read_json(path)):
                record = given.get(file)
                if record is None:
                    raise SettingError(
                        "a label is of a file that no round of this store has; nothing was read"
                    )
                name = None if is_over(record) else present.get(record["snippet"])
                left_out += name is None
                if name and any(said.values()):
                    labels.add(Label(name, record["round"], record["reviewer"], **said))
    return sorted(labels), left_out


def _said(values: Sequence[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each file of a JSON text and what is said of it."""
    tasks = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not tasks:
        raise SettingError(_EXPECTED)
    for value in tasks:
        match value:
            case {"round": str(), "reviewer": str(), "labels": list() as rows}:
                yield from map(_own, rows)
            case {"data": {"audio": str() as audio}, "annotations": list() as annotations}:
                file = PurePosixPath(parse_qs(urlsplit(audio).query).get("d", [audio])[0]).name
                for annotation in annotations:
                    yield file, _annotated(annotation)
            case _:
                raise SettingError(_EXPECTED)


def _own(row: Any) -> tuple[str, dict[str, str]]:
    if not isinstance(row, dict) or not isinstance(row.get("file"), str):
        raise SettingError(_EXPECTED)
    said = {name: row.get(name, "") for name in _OWN}
    if not all(isinstance(value, str) for value in said.values()):
        raise SettingError(f"expected {', '.join(_OWN)} of a label to be text")
    return row["file"], said


def _annotated(annotation: Any) -> dict[str, str]:
    """Return what an annotation of Label Studio says.

    A text area called remark holds the remark, any other the words. A choice in a control called flag, or one of
    `FLAGS` in any, flags the snippet; all other choices are of its quality.
    """
    said: dict[str, list[str]] = {name: [] for name in _OWN}
    if not isinstance(annotation, dict):
        raise SettingError(_EXPECTED)
    for result in annotation.get("result", ()):
        match result:
            case {"value": {"text": list() | str() as found}}:
                name = "remark" if result.get("from_name") == "remark" else "text"
                said[name] += map(str, found if isinstance(found, list) else [found])
            case {"value": {"choices": list() as found}}:
                for choice in map(str, found):
                    is_flag = choice in FLAGS or result.get("from_name") == "flag"
                    said["flag" if is_flag else "quality"].append(choice)
            case _:
                raise SettingError("expected annotations by text areas and choices alone")
    return {name: (", " if name in ("quality", "flag") else " ").join(parts) for name, parts in said.items()}
