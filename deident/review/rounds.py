"""Rounds of review: snippets are assigned to reviewers so that nobody can put a conversation together.

Only a share of the recordings (or speakers, where they are known) is drawn, by the key and the round: each round draws
others. Recordings of people who opted out take no part. No reviewer gets two snippets of one recording, or of one
speaker where speakers are known, in one round or in several. Each reviewer's files are shuffled under new names.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import secrets
import shutil
import stat
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from deident.datasets.items import Item, read_items
from deident.datasets.label_studio import labelling_interface, tasks
from deident.errors import SettingError, StoreError
from deident.keys import Key
from deident.pages.review import FLAGS, QUALITIES, page
from deident.review.history import (
    history,
    last_day,
    promise_of,
    snippet_id,
    snippets_left,
    today_text,
)
from deident.review.sealing import Recipient, check_recipients, seal
from deident.store import Disk, FolderStore, Link, Linkage, day_text, today
from deident.store.disk import PRIVATE_FILE, PRIVATE_FOLDER, plain_errors

LOG = "review-log.jsonl"
MARKER, FORMAT = ".deident-rounds", b"deident rounds 1\n"
UNFINISHED = ".deident-unfinished"
_NAME = re.compile(r"\w[\w.-]{0,99}")


@dataclass(frozen=True)
class RoundSettings:
    """Settings of a round.

    Parameters
    ----------
    reviewers : tuple of str
        Names, as the log shows them.
    per_reviewer : int, optional
        Snippets for each, at most.
    max_per_recording : int, optional
        Snippets of one recording in the whole round.
    share : float, optional
        Of the recordings (speakers, where known) that take part, above 0 and up to 1.
    name : str, optional
        By default today's date. Another name draws others.
    days : int, optional
        Days until reviewers must delete their parts. The programme of the store may say fewer.

    Raises
    ------
    SettingError
        When a setting is outside its range.
    """

    reviewers: tuple[str, ...]
    per_reviewer: int = 50
    max_per_recording: int = 1
    share: float = 1.0
    name: str = field(default_factory=lambda: today_text())
    days: int | None = None

    def __post_init__(self) -> None:
        if not self.reviewers or len(set(self.reviewers)) != len(self.reviewers):
            raise SettingError("expected at least one reviewer, each once")
        for what, name in (("round", self.name), *(("reviewer", name) for name in self.reviewers)):
            if not _NAME.fullmatch(name):
                raise SettingError(
                    f"expected the name of a {what} of letters, digits, hyphens, dots and underscores, 100 at most"
                )
        if self.per_reviewer < 1 or self.max_per_recording < 1:
            raise SettingError("expected at least one snippet a reviewer and a recording")
        if self.days is not None and self.days < 1:
            raise SettingError("expected a round to last a day at least")
        if not 0.0 < self.share <= 1.0:
            raise SettingError(f"expected a share above 0 and up to 1; got {self.share:g}")


@dataclass(frozen=True)
class Assignment:
    """One reviewer's part of a round.

    Attributes
    ----------
    reviewer : str
    files : tuple of (str, str)
        Pairs of a snippet's name in the store and its new name in the round.
    until : tuple of (str or None)
        The last day of each, YYYY-MM-DD; empty where they have none.
    """

    reviewer: str
    files: tuple[tuple[str, str], ...]
    until: tuple[str | None, ...] = ()


def assign(
    links: Iterable[Link],
    settings: RoundSettings,
    key: Key,
    *,
    opted_out: frozenset[str] = frozenset(),
    earlier: Iterable[tuple[str, str]] = (),
    left: Mapping[str, int] = MappingProxyType({}),
) -> list[Assignment]:
    """Assign snippets to the reviewers of a round.

    Parameters
    ----------
    links : iterable of Link
        The recordings and their snippets.
    settings : RoundSettings
    key : Key
    opted_out : frozenset of str, optional
        Paths, speakers or pseudonyms whose recordings take no part, nor other copies of the same audio.
    earlier : iterable of (str, str), optional
        Reviewers and subjects (see `subjects`) of earlier rounds.
    left : mapping of str to int, optional
        Snippets that reviewers may still get; any number where it does not say.

    Returns
    -------
    list of Assignment
    """
    links = list(links)
    secrets.SystemRandom().shuffle(links)  # so that a recording's snippet is not always of its first speaker
    seen = set(earlier)
    excluded = {link.content for link in links if {link.path, link.speaker, link.recording} & opted_out}
    pool: list[tuple[str, frozenset[str]]] = []
    known: set[str] = set()  # a stopped run may leave a record twice
    taken: Counter[str] = Counter()
    for link in links:
        if link.content in excluded or not _drawn(link, settings, key):
            continue
        names = sorted(set(link.names) - known)
        known.update(names)
        secrets.SystemRandom().shuffle(names)
        names = names[: settings.max_per_recording - taken[link.content]]
        taken[link.content] += len(names)
        pool += [(name, subjects(link, key)) for name in names]
    secrets.SystemRandom().shuffle(pool)
    parts: dict[str, list[str]] = {reviewer: [] for reviewer in settings.reviewers}
    limits = {name: min(settings.per_reviewer, left.get(name, settings.per_reviewer)) for name in parts}
    for name, owners in pool:
        free = [
            reviewer
            for reviewer, part in parts.items()
            if len(part) < limits[reviewer] and not any((reviewer, owner) in seen for owner in owners)
        ]
        if not free:
            continue
        reviewer = min(free, key=lambda r: len(parts[r]))
        parts[reviewer].append(name)
        seen.update((reviewer, owner) for owner in owners)
    return [
        Assignment(reviewer, tuple((name, f"{secrets.token_hex(16)}{Path(name).suffix}") for name in part))
        for reviewer, part in parts.items()
    ]


def subjects(link: Link, key: Key) -> frozenset[str]:
    """Return keyed pseudonyms of a recording, by its audio and its path, and of its speaker where one is known.

    No reviewer gets two snippets with a subject in common.
    """
    found = [("content", link.content), ("recording", link.recording)]
    if link.speaker is not None:
        found.append(("speaker", link.speaker))
    return frozenset(key.pseudonym("subject", *subject) for subject in found)


def make_round(
    store: FolderStore,
    linkage: Linkage,
    key: Key,
    settings: RoundSettings,
    out: Path,
    *,
    opted_out: frozenset[str] = frozenset(),
    pack: bool = False,
    recipients: Mapping[str, Recipient] = MappingProxyType({}),
) -> list[Assignment]:
    """Assign and write a round: a folder, a tar or a sealed tar for each reviewer, and a log beside them.

    Every assignment is recorded under the key in the store's private part before a file is written. A round appears
    whole or not at all: the next one removes what a stopped one left, whose assignments count.

    Parameters
    ----------
    store : Store
    linkage : Linkage
        Of the runs that made the store.
    key : Key
    settings : RoundSettings
    out : Path
        A folder of rounds; new, empty, or made by this function.
    opted_out : frozenset of str, optional
        As `assign` takes it.
    pack : bool, optional
        A tar instead of a folder.
    recipients : mapping of str to Recipient, optional
        Of every reviewer: their tars are sealed to them.

    Returns
    -------
    list of Assignment

    Raises
    ------
    StoreError
        When `out` holds anything else, or this round already, or when a snippet is not as it was released.
    SettingError
        When a reviewer has had as many snippets as the programme of the store allows, or has no recipient.
    """
    disk = Disk()
    promise = promise_of(store)
    check_recipients(recipients, settings.reviewers, is_required=promise.seal_rounds == "required")
    items = {item.name: item for item in read_items(store.path) if item.path.is_file()}
    with _rounds_folder(out, disk):
        if os.path.lexists(out / settings.name):
            raise StoreError("this round was made already; name another with --round")
        linkage.attach(store)
        log = history(store, key)
        records = list(log.records())
        earlier = [(str(record["reviewer"]), str(s)) for record in records for s in record["subjects"]]
        left = snippets_left(promise, settings.reviewers, records)
        links = [link for link in linkage.links() if link.store == store.id]
        owners = {name: sorted(subjects(link, key)) for link in links for name in link.names}
        ends = {link: last_day(link.day, settings.days, promise) for link in links}
        until = {
            name: None if (end := ends[link]) is None else day_text(end)
            for link in links
            for name in link.names
        }
        # What is over today is purged today, and given to nobody.
        links = [link for link in links if (ends[link] or today() + 1) > today()]
        links = [replace(link, names=tuple(name for name in link.names if name in items)) for link in links]
        parts = assign(links, settings, key, opted_out=opted_out, earlier=earlier, left=left)
        parts = [replace(part, until=tuple(until[name] for name, _ in part.files)) for part in parts]
        log.add(
            [
                {
                    "round": settings.name,
                    "day": today_text(),
                    "reviewer": part.reviewer,
                    "snippet": snippet_id(key, name),
                    "file": file,
                    "subjects": owners[name],
                    **({"until": until[name]} if until[name] else {}),
                }
                for part in parts
                for name, file in part.files
            ]
        )
        _write_round(items, parts, settings.name, out, pack=pack, recipients=recipients, disk=disk)
    return parts


@contextlib.contextmanager
def _rounds_folder(out: Path, disk: Disk) -> Iterator[None]:
    """Hold a folder of rounds, made or marked if need be, and remove the round that a stop left in it.

    Raises `StoreError`, and changes nothing, for a folder with other contents, without the marker, or in use.
    """
    other = StoreError(
        "expected as --out a new or empty folder, or one that `deident review` made; this holds something else"
    )
    with plain_errors("opening the folder of rounds"):
        with contextlib.suppress(FileExistsError):
            out.mkdir(mode=PRIVATE_FOLDER, parents=True)
        if not stat.S_ISDIR(out.lstat().st_mode):
            raise other
        marker = out / MARKER
        if not os.path.lexists(marker):
            found = list(out.iterdir())
            if not all(path.name.startswith(f"{MARKER}.") and path.is_file() for path in found):
                raise other
            for path in found:  # an unfinished marker
                path.unlink()
            out.chmod(PRIVATE_FOLDER)
            disk.replace(marker, [FORMAT], out / f"{MARKER}.{secrets.token_hex(8)}")
        if not stat.S_ISREG(marker.lstat().st_mode):
            raise other
        descriptor = os.open(marker, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.read(descriptor, len(FORMAT) + 1) != FORMAT:
            raise StoreError(
                "the folder of --out has rounds of another version of deident; give another folder"
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError("another round is being written to that folder; try again later") from None
        left = out / UNFINISHED
        if os.path.lexists(left):
            if not stat.S_ISDIR(left.lstat().st_mode):
                raise other
            with plain_errors("removing a stopped round"):
                shutil.rmtree(left)
        yield
    finally:
        os.close(descriptor)


def _write_round(
    items: Mapping[str, Item],
    parts: Sequence[Assignment],
    name: str,
    out: Path,
    *,
    pack: bool,
    recipients: Mapping[str, Recipient],
    disk: Disk,
) -> None:
    """Write all parts beside, pack them where asked to, and rename them into place."""
    unfinished = out / UNFINISHED
    disk.make_folder(unfinished)
    for part in parts:
        folder = unfinished / part.reviewer
        contents = _contents(items, part, name)
        if recipients:
            data = seal(_packed(contents, part.reviewer), recipients[part.reviewer])
            disk.replace(folder.with_name(f"{folder.name}.tar.age"), [data])
        elif pack:
            disk.replace(folder.with_name(f"{folder.name}.tar"), [_packed(contents, part.reviewer)])
        else:
            disk.make_folder(folder)
            for file, data in contents:
                disk.replace(folder / file, [data])
    disk.rename(unfinished, out / name)
    disk.sync_folder(out)
    rows = (
        {"day": today_text(), "round": name, "reviewer": part.reviewer, "snippets": len(part.files)}
        for part in parts
    )
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with plain_errors("writing the log of rounds"):
        descriptor = os.open(out / LOG, flags, PRIVATE_FILE)
        try:
            os.fchmod(descriptor, PRIVATE_FILE)
            disk.write(descriptor, "".join(json.dumps(row) + "\n" for row in rows).encode())
            disk.sync(descriptor)
        finally:
            os.close(descriptor)


def _drawn(link: Link, settings: RoundSettings, key: Key) -> bool:
    """Draw by the key and the round, not by chance: repeating a round until somebody comes up is in vain."""
    owner = f"speaker {link.speaker}" if link.speaker is not None else f"recording {link.content}"
    number = int.from_bytes(key.derive("draw", settings.name, owner)[:8], "big")
    return number < settings.share * 2**64


def _contents(items: Mapping[str, Item], part: Assignment, round_name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a reviewer's part, one at a time."""
    for name, file in part.files:
        yield file, items[name].read()
    files = [file for _, file in part.files]
    yield "index.html", page(files, round_name, part.reviewer, part.until).encode()
    yield "tasks.json", tasks(files).encode()
    yield "label-studio.xml", labelling_interface(QUALITIES, FLAGS).encode()


def _packed(contents: Iterable[tuple[str, bytes]], folder: str) -> bytes:
    """Make a tar without times, owners or paths of this machine."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(contents):
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size, info.mode = len(data), 0o600
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()
