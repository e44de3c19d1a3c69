"""A review programme: who hears which snippets, dealt so that nobody can put a conversation together.

What is promised: only a share of the recordings (or speakers, where they are known) is drawn, by the key and
the round, so that other people are drawn each time; nobody who opted out; no reviewer ever hears two snippets
of one recording or of one speaker, in this round or an earlier one; every batch is shuffled and has names of
its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from deident.datasets.label_studio import tasks
from deident.errors import SettingError, StoreError
from deident.keys import Key
from deident.pages.page import data_slot
from deident.store import Disk, FolderStore, Link, Linkage, Sealed
from deident.store.disk import plain_errors

PAGE = "review.html"
LOG = "review-log.jsonl"
UNFINISHED = ".part"


@dataclass(frozen=True)
class Programme:
    """Settings of a round.

    reviewers : their names, as the log shall show them.   per_reviewer : snippets each, at most.
    max_per_recording : snippets of one recording in the whole round.   share : of the recordings (speakers,
    where known) that take part, 0 to 1.   round : its name; another name draws other people.
    Raises `SettingError` outside the ranges."""

    reviewers: tuple[str, ...]
    per_reviewer: int = 50
    max_per_recording: int = 1
    share: float = 1.0
    round: str = field(default_factory=lambda: time.strftime("%Y-%m-%d", time.gmtime()))

    def __post_init__(self) -> None:
        if not self.reviewers or len(set(self.reviewers)) != len(self.reviewers):
            raise SettingError("expected at least one reviewer, each once")
        for name in self.reviewers:
            if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
                raise SettingError(
                    "a reviewer's name is made of letters, digits, hyphens, dots and underscores"
                )
        if self.per_reviewer < 1 or self.max_per_recording < 1:
            raise SettingError("expected at least one snippet a reviewer and a recording")
        if "/" in self.round or self.round in ("", ".", ".."):
            raise SettingError("the round's name is a folder's: no slashes")
        if not 0.0 < self.share <= 1.0:
            raise SettingError(f"expected a share above 0 and up to 1; got {self.share:g}")


@dataclass(frozen=True)
class Batch:
    """What one reviewer gets: the names in the store, and the fresh names in the batch."""

    reviewer: str
    names: tuple[tuple[str, str], ...]


def deal(
    links: Iterable[Link],
    programme: Programme,
    key: Key,
    *,
    opted_out: frozenset[str] = frozenset(),
    heard: Iterable[tuple[str, str]] = (),
) -> list[Batch]:
    """Batches for a round.

    opted_out : paths, speakers or pseudonyms whose recordings take no part, wherever else the same sound
    lies.   heard : (reviewer, mark) of earlier rounds, where marks are what `marks` says of a link."""
    links = list(links)
    secrets.SystemRandom().shuffle(links)  # of those who spoke in a recording, not always the first is heard
    seen = set(heard)
    without = {link.content for link in links if {link.path, link.speaker, link.recording} & opted_out}
    pool: list[tuple[str, frozenset[str]]] = []
    known: set[str] = set()  # a record that a stop left may stand there twice
    taken: Counter[str] = Counter()
    for link in links:
        if link.content in without or not _drawn(link, programme, key):
            continue
        names = sorted(set(link.names) - known)
        known.update(names)
        secrets.SystemRandom().shuffle(names)
        names = names[: programme.max_per_recording - taken[link.content]]
        taken[link.content] += len(names)
        pool += [(name, marks(link, key)) for name in names]
    secrets.SystemRandom().shuffle(pool)
    hands: dict[str, list[str]] = {reviewer: [] for reviewer in programme.reviewers}
    for name, whose in pool:
        free = [
            reviewer
            for reviewer, hand in hands.items()
            if len(hand) < programme.per_reviewer and not any((reviewer, mark) in seen for mark in whose)
        ]
        if not free:
            continue
        reviewer = min(free, key=lambda r: len(hands[r]))
        hands[reviewer].append(name)
        seen.update((reviewer, mark) for mark in whose)
    return [
        Batch(reviewer, tuple((name, f"{secrets.token_hex(16)}{Path(name).suffix}") for name in hand))
        for reviewer, hand in hands.items()
    ]


def marks(link: Link, key: Key) -> frozenset[str]:
    """What one reviewer must not hear twice: a recording, by its sound and by its place, and a speaker where
    one is known. Keyed, so that the history of a programme names nobody, erased or not."""
    found = [("content", link.content), ("recording", link.recording)]
    if link.speaker is not None:
        found.append(("speaker", link.speaker))
    return frozenset(key.pseudonym("heard", *mark) for mark in found)


def hold_round(
    store: FolderStore,
    linkage: Linkage,
    key: Key,
    programme: Programme,
    out: Path,
    *,
    opted_out: frozenset[str] = frozenset(),
    pack: bool = False,
) -> list[Batch]:
    """Deal and write a round: a folder (or, with `pack`, a tar) a reviewer in `out`, and the log beside them.

    Who heard whom is remembered under the key in the store's private part, before anything can be heard. A
    round appears whole or not at all: one that was stopped is swept away by the next, and what it would have
    let somebody hear counts as heard. Raises `StoreError` when `out` holds this round already."""
    disk = Disk()
    folder = out / programme.round
    with plain_errors("making the round's folder"):
        out.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            raise StoreError("this round was held already; name another with --round")
        for left in out.glob(f".*{UNFINISHED}"):
            shutil.rmtree(left)
    history = Sealed(store.history, key, "reviews")
    heard = [(str(record["reviewer"]), str(mark)) for record in history.records() for mark in record["marks"]]
    links = [link for link in linkage.links() if link.store == store.id]
    whose = {name: sorted(marks(link, key)) for link in links for name in link.names}
    batches = deal(
        [_still_there(link, store) for link in links], programme, key, opted_out=opted_out, heard=heard
    )
    history.add([{"reviewer": b.reviewer, "marks": whose[name]} for b in batches for name, _ in b.names])
    unfinished = out / f".{programme.round}{UNFINISHED}"
    disk.make_folder(unfinished)
    for batch in batches:
        place = unfinished / batch.reviewer
        disk.make_folder(place)
        _write_batch(store, batch, programme.round, place, disk)
        if pack:
            _pack(place, disk)
    disk.rename(unfinished, folder)
    disk.sync_folder(out)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    with plain_errors("writing the programme's log"), open(out / LOG, "a", encoding="utf-8") as log:
        for batch in batches:
            row = {
                "day": day,
                "round": programme.round,
                "reviewer": batch.reviewer,
                "snippets": len(batch.names),
            }
            log.write(json.dumps(row) + "\n")
    return batches


def _drawn(link: Link, programme: Programme, key: Key) -> bool:
    """By the key and the round, not by chance of the run: drawing again until somebody comes up is in vain."""
    whose = f"speaker {link.speaker}" if link.speaker is not None else f"recording {link.content}"
    number = int.from_bytes(key.derive("draw", programme.round, whose)[:8], "big")
    return number < programme.share * 2**64


def _still_there(link: Link, store: FolderStore) -> Link:
    names = tuple(name for name in link.names if (store.path / name).is_file())
    return replace(link, names=names)


def _write_batch(store: FolderStore, batch: Batch, round_name: str, place: Path, disk: Disk) -> None:
    for name, fresh in batch.names:
        with plain_errors("reading a snippet of the store"):
            data = (store.path / name).read_bytes()
        _write(place / fresh, data, disk)
    files = [fresh for _, fresh in batch.names]
    _write(place / "index.html", page(files, f"{round_name} {batch.reviewer}").encode(), disk)
    _write(place / "tasks.json", tasks(files).encode(), disk)


def _write(path: Path, data: bytes, disk: Disk) -> None:
    disk.replace(path, [data])


def page(files: Sequence[str], title: str) -> str:
    """A page that plays the files beside it and saves what is said of them as JSON; needs no network."""
    text = resources.files("deident.pages").joinpath(PAGE).read_text(encoding="utf-8")
    return text.replace("{{DATA}}", data_slot({"title": title, "files": list(files)}))


def _pack(folder: Path, disk: Disk) -> None:
    """Turn a folder into a tar that tells nothing of where, when or by whom it was made."""
    import io

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folder.iterdir()):
            info = tarfile.TarInfo(f"{folder.name}/{path.name}")
            info.size = path.stat().st_size
            info.mode = 0o600
            with open(path, "rb") as file:
                archive.addfile(info, file)
    _write(folder.with_name(f"{folder.name}.tar"), made.getvalue(), disk)
    for path in folder.iterdir():
        disk.unlink(path)
    os.rmdir(folder)
