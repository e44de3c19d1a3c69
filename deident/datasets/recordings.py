"""Recordings from files, folders and URIs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from deident import uris
from deident.containers import SUFFIXES
from deident.datasets import table
from deident.errors import SettingError, kind_of
from deident.recording import Recording

LINKS = "links"  # what was passed over, in words for the summary
OTHERS = "files of other kinds"
HIDDEN = "hidden files"
HIDDEN_FOLDERS = "hidden folders"
STORES = "stores"


def expand(
    paths: Iterable[str | os.PathLike[str] | Recording] | os.PathLike[str] | Recording,
    *,
    follow_links: bool = False,
    passed_over: Counter[str] | None = None,
) -> Iterator[Recording]:
    """Find the recordings in files and folders.

    Parameters
    ----------
    paths : path, URI or Recording, an iterable of such, or a frame of pandas with the column path
        Of a folder, the files below it with a sound file's suffix are taken, sorted; hidden files and stores in it are
        passed over, and symbolic links too by default. A named file is taken whatever its suffix.
    follow_links : bool, default False
        Read through symbolic links to files and folders, as git-annex, DVC and Hugging Face's caches have them.
    passed_over : Counter, optional
        Filled with the number of links, files of other kinds, hidden files and folders, and stores that were passed
        over.

    Yields
    ------
    Recording

    Raises
    ------
    SettingError
        If a value is of another type.
    """
    if isinstance(paths, str | os.PathLike | Recording):
        paths = [paths]  # text is an iterable too: of letters, and "/" is a folder
    if isinstance(paths, table.Frame):  # its own iterator gives the names of its columns
        paths = table.read(paths)
    if not isinstance(paths, Iterable):
        raise SettingError(f"expected recordings as a list of paths; got {kind_of(paths)}")
    for path in paths:
        if not isinstance(path, str | os.PathLike | Recording):
            raise SettingError(
                f"expected recordings as paths, URIs or deident.Recording; got {kind_of(path)}:"
                " deident.deidentify takes open files and samples"
            )
        if isinstance(path, Recording):
            known = replace(
                path, path=uris.local_path(path.path), follow_links=path.follow_links or follow_links
            )
            yield _looked_at(known)
            continue
        place = uris.local_path(path)
        count = Counter() if passed_over is None else passed_over
        if uris.is_uri(place):
            yield from _below(place, count)
        elif os.path.isdir(place):  # False also for what cannot be looked at: reading it will tell
            yield from (
                Recording(found, follow_links=follow_links) for found in _walk(place, follow_links, count)
            )
        else:
            yield Recording(place, follow_links=follow_links)


def _below(uri: str, passed_over: Counter[str]) -> Iterator[Recording]:
    """Yield the recordings below a URI, other than hidden ones and those in stores."""
    found = uris.find_files(uri)
    if not found:
        yield Recording(uri, size=0)  # reading it will tell that it is missing
    start = len(uri.partition("::")[0])
    inside = [f"/{item.uri.partition('::')[0][start:].lstrip('/')}" for item in found]
    marks = [f"/{mark}" for mark in uris.STORE_MARKS]
    found_stores = {name.removesuffix(mark) for name in inside for mark in marks if name.endswith(mark)}
    stores = tuple(f"{store}/" for store in found_stores if store)  # what is named itself is meant
    for item, name in zip(found, inside, strict=True):
        is_hidden = "/." in name
        if item.uri == uri or (_has_sound(name) and not is_hidden and not name.startswith(stores)):
            yield Recording(item.uri, size=item.size, version=item.version)
        elif not name.startswith(stores) and (_has_sound(name) or not is_hidden):
            passed_over[HIDDEN if is_hidden else OTHERS] += 1
    if found_stores - {""}:
        passed_over[STORES] += len(found_stores - {""})


def _looked_at(recording: Recording) -> Recording:
    """Add the size and version of the file at a URI."""
    if recording.size is not None or not uris.is_uri(recording.path):
        return recording
    found = uris.find_file(recording.path)
    return replace(recording, size=found.size if found else 0, version=found.version if found else "")


def _has_sound(name: str) -> bool:
    return name.rpartition(".")[2].lower() in SUFFIXES


def _walk(folder: str, follow_links: bool, passed_over: Counter[str]) -> Iterator[str]:
    """Yield the files below a folder, sorted, other than hidden ones and those in stores."""
    closed: list[str] = []  # folders that cannot be looked into: reading one will tell
    entered: set[str] = set()  # folders by their real paths, as links may lead round in circles
    for place, folders, files in os.walk(
        folder, followlinks=follow_links, onerror=lambda e: closed.append(e.filename)
    ):
        real = os.path.realpath(place) if follow_links else place
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        if place != folder and uris.PRIVATE in folders and _is_store(place):
            folders.clear()  # what is in there has been disguised already
            passed_over[STORES] += 1
            continue
        hidden = [f for f in folders if f.startswith(".")]
        folders[:] = sorted(set(folders) - set(hidden))
        if count := sum(_holds_sound(os.path.join(place, f)) for f in hidden):
            passed_over[HIDDEN_FOLDERS] += count
        links = 0 if follow_links else sum(os.path.islink(os.path.join(place, f)) for f in folders)
        if links:
            passed_over[LINKS] += links
        for name in sorted(files):
            path = os.path.join(place, name)
            reason = _reason(name, not follow_links and os.path.islink(path))
            if reason is None:
                yield path
            elif reason:
                passed_over[reason] += 1
    yield from closed


def _holds_sound(folder: str) -> bool:
    """Tell whether there is a sound file below a folder, by its name."""
    return any(_has_sound(name) for _, _, files in os.walk(folder) for name in files)


def _reason(name: str, is_link: bool) -> str | None:
    """Give the reason to pass over a file of a folder: None to take it, "" for one that nobody misses."""
    if name.startswith("."):
        return HIDDEN if _has_sound(name) else ""
    if not _has_sound(name):
        return OTHERS
    return LINKS if is_link else None


def _is_store(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, mark)) for mark in uris.STORE_MARKS)


def collect(
    paths: Iterable[str | os.PathLike[str] | Recording] | os.PathLike[str] | Recording,
    *,
    follow_links: bool = False,
    passed_over: Counter[str] | None = None,
) -> list[Recording]:
    """Find the recordings in files and folders, each once; see `expand`.

    Raises
    ------
    SettingError
        If one place is named twice with different speakers, labels, turns or ranges: which of them a snippet had
        would be left to chance.
    """
    found: dict[str, Recording] = {}
    differing = 0
    kept = []
    for recording in expand(paths, follow_links=follow_links, passed_over=passed_over):
        place = uris.location(recording.path)
        if place not in found:
            found[place] = recording
            kept.append(recording)
        else:
            differing += replace(recording, path=found[place].path) != found[place]
    if differing:
        raise SettingError(
            f"{differing} recordings are named twice, the second time with other speakers, labels, turns or segments:"
            " name each once"
        )
    return kept


def with_folder_speakers(recordings: Sequence[Recording], place: str | os.PathLike[str]) -> list[Recording]:
    """Take the first folder below a place for the speaker of the recordings in it.

    Parameters
    ----------
    recordings : sequence of Recording
        Found at the place.
    place : str or path-like
        A folder of speakers; or a speaker's own folder or file, named after its folder.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If some recordings lie in folders of the place and others do not.
    """
    start = uris.local_path(place).rstrip("/")
    below = [recording.path[len(start) :].strip("/").split("/") for recording in recordings]
    if len({len(parts) > 1 for parts in below}) > 1:
        raise SettingError(
            "expected every recording in a folder of its speaker: some lie beside these folders"
        )
    whole = uris.location(start)  # "." has a name, too
    own = os.path.basename(whole if uris.is_uri(start) or os.path.isdir(start) else os.path.dirname(whole))
    return [
        replace(recording, speaker=parts[0] if len(parts) > 1 else own)
        for recording, parts in zip(recordings, below, strict=True)
    ]
