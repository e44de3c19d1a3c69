"""A review programme: who hears which snippets, dealt so that nobody can put a conversation together.

What is promised: only a share of the recordings (or speakers, where they are known) is drawn, by the key and
the round, so that other people are drawn each time; nobody who opted out; no reviewer ever hears two snippets
of one recording or of one speaker, in this round or an earlier one; every batch is shuffled and has names of
its own."""

from __future__ import annotations

import json
import os
import secrets
import tarfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from deident.errors import SettingError, StoreError
from deident.secret import Key
from deident.store import Disk, Link, Linkage, Sealed, Store
from deident.store.disk import plain_errors

PAGE = "review.html"
LOG = "review-log.jsonl"


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

    opted_out : paths or speakers whose recordings take no part.   heard : (reviewer, person) of earlier
    rounds, where a person is one of what `people` says of a link."""
    seen = set(heard)
    pool = []
    room: dict[str, int] = {}
    for link in links:
        if {link.path, link.speaker, link.recording} & opted_out or not _drawn(person(link), programme, key):
            continue
        names = list(link.names)
        secrets.SystemRandom().shuffle(names)
        left = room.setdefault(link.content, programme.max_per_recording)
        taken = names[:left]  # a recording with several speakers has several links
        room[link.content] -= len(taken)
        pool += [(name, people(link)) for name in taken]
    secrets.SystemRandom().shuffle(pool)
    hands: dict[str, list[str]] = {reviewer: [] for reviewer in programme.reviewers}
    for name, whose in pool:
        free = [
            reviewer
            for reviewer, hand in hands.items()
            if len(hand) < programme.per_reviewer and not any((reviewer, one) in seen for one in whose)
        ]
        if not free:
            continue
        reviewer = min(free, key=lambda r: len(hands[r]))
        hands[reviewer].append(name)
        seen.update((reviewer, one) for one in whose)
    return [
        Batch(reviewer, tuple((name, f"{secrets.token_hex(16)}{Path(name).suffix}") for name in hand))
        for reviewer, hand in hands.items()
    ]


def person(link: Link) -> str:
    """Who is drawn or not: the speaker where known, else the recording."""
    return f"speaker {link.speaker}" if link.speaker is not None else f"recording {link.content}"


def people(link: Link) -> set[str]:
    """Who and what must not be heard twice by one reviewer: the speaker, and whoever spoke with them."""
    return {person(link), f"recording {link.content}"}


def hold_round(
    store: Store,
    linkage: Linkage,
    key: Key,
    programme: Programme,
    out: Path,
    *,
    opted_out: frozenset[str] = frozenset(),
    pack: bool = False,
) -> list[Batch]:
    """Deal and write a round: a folder (or, with `pack`, a tar) a reviewer in `out`, and the log beside them.

    Who heard whom is remembered under the key in the store's private part. Raises `StoreError` when `out`
    holds this round already."""
    disk = Disk()
    folder = out / programme.round
    with plain_errors("making the round's folder"):
        out.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            raise StoreError("this round was held already; name another with --round")
    history = Sealed(store.history, key, "reviews")
    heard = [(str(record["reviewer"]), str(record["person"])) for record in history.records()]
    links = list(linkage.links())
    whose = {name: people(link) for link in links for name in link.names}
    batches = deal(
        [_still_there(link, store) for link in links], programme, key, opted_out=opted_out, heard=heard
    )
    history.add(
        [
            {"reviewer": b.reviewer, "person": one}
            for b in batches
            for name, _ in b.names
            for one in sorted(whose[name])
        ]
    )  # before anything can be heard
    disk.make_folder(folder)
    for batch in batches:
        place = folder / batch.reviewer
        disk.make_folder(place)
        _write_batch(store, batch, programme.round, place, disk)
        if pack:
            _pack(place, disk)
    with plain_errors("writing the programme's log"), open(out / LOG, "a", encoding="utf-8") as log:
        for batch in batches:
            row = {"round": programme.round, "reviewer": batch.reviewer, "snippets": len(batch.names)}
            log.write(json.dumps(row) + "\n")
    return batches


def _drawn(whose: str, programme: Programme, key: Key) -> bool:
    """By the key and the round, not by chance of the run: drawing again until somebody comes up is in vain."""
    number = int.from_bytes(key.derive("draw", programme.round, whose)[:8], "big")
    return number < programme.share * 2**64


def _still_there(link: Link, store: Store) -> Link:
    names = tuple(name for name in link.names if (store.path / name).is_file())
    return replace(link, names=names)


def _write_batch(store: Store, batch: Batch, round_name: str, place: Path, disk: Disk) -> None:
    for name, fresh in batch.names:
        with plain_errors("reading a snippet of the store"):
            data = (store.path / name).read_bytes()
        _write(place / fresh, data, disk)
    files = [fresh for _, fresh in batch.names]
    _write(place / "index.html", page(files, f"{round_name} {batch.reviewer}").encode(), disk)
    _write(place / "tasks.json", label_studio(files).encode(), disk)


def _write(path: Path, data: bytes, disk: Disk) -> None:
    disk.write_whole(path, data, path.with_name(path.name + ".part"))


def page(files: Sequence[str], title: str) -> str:
    """A page that plays the files beside it and saves what is said of them as JSON; needs no network."""
    text = resources.files("deident").joinpath(PAGE).read_text(encoding="utf-8")
    # "</" would end the script that the data stands in.
    data = json.dumps({"title": title, "files": list(files)}).replace("</", "<\\/")
    return text.replace("{{DATA}}", data)


def label_studio(files: Sequence[str], facts: Sequence[dict[str, object]] = ()) -> str:
    """Tasks for Label Studio's import (its JSON format); the files are to be served from local storage.

    facts : what else each task shows."""
    known = facts or [{}] * len(files)
    tasks = [
        {"data": {**fact, "audio": f"/data/local-files/?d={name}"}}
        for name, fact in zip(files, known, strict=True)
    ]
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


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
    _write(folder.with_suffix(".tar"), made.getvalue(), disk)
    for path in folder.iterdir():
        disk.unlink(path)
    os.rmdir(folder)
