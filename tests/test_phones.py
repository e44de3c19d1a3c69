"""Phones and their times go along like words: in by CTM and Lhotse, out by every export, exact to the sample."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from deident.datasets import READERS, export
from deident.datasets.huggingface import MapBatch
from deident.datasets.items import read_items
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.segment import RATE, Segment
from deident.segmentation.turns import Turn, Word

Timed = tuple[str, int, int]  # symbol, start and stop in samples


@pytest.fixture
def aligned() -> dict[str, list[Timed]]:
    """Words and phones in all of a recording, by aligner's positions that no frame rate divides."""
    rng, words, phones = np.random.default_rng(5), [], []
    at = 3
    while at < 23 * RATE:
        cuts = at + np.cumsum([0, *rng.integers(700, 2_500, size=3)])
        words.append((f"w{len(words)}", int(cuts[0]), int(cuts[-1])))
        phones += [(f"p{len(phones) + n}", int(cuts[n]), int(cuts[n + 1])) for n in range(3)]
        at = int(cuts[-1])
    return {"words": words, "phones": phones}


def offsets(found: Any, source: list[Timed]) -> Iterator[tuple[int, bool]]:
    """Return the shift of each symbol, and its kept length as a flag; those at an edge may be cut there."""
    places = {symbol: (start, stop) for symbol, start, stop in source}
    for start, stop, symbol in found:
        first, last = places[symbol]
        yield first - round(start * RATE), round(stop * RATE) - round(start * RATE) == last - first


@pytest.fixture
def store(
    aligned: dict[str, list[Timed]],
    recordings: Path,
    tmp_path: Path,
    deident: Callable[..., CompletedProcess[str]],
) -> Path:
    options = []
    for kind, timed in aligned.items():
        lines = (f"reading 1 {a / RATE:.6f} {(b - a) / RATE:.6f} {symbol}\n" for symbol, a, b in timed)
        (tmp_path / f"{kind}.ctm").write_text("".join(lines))
        options += [f"--{kind}", str(tmp_path / f"{kind}.ctm")]
    deident("keygen", str(tmp_path / "key"))
    place = tmp_path / "store"
    done = deident(
        "run", str(recordings / "reading.mp3"), *options, "--carry", "text,words,phones", "--preset", "training",
        "--key-file", str(tmp_path / "key"), "--speaker-from", "folder", "--out", str(place),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place


def test_every_phone_and_word_lies_where_it_is_said(aligned: dict[str, list[Timed]], store: Path) -> None:
    items = read_items(store)
    found = 0
    for item in items:
        moves = [offsets(getattr(item, kind), aligned[kind]) for kind in ("words", "phones")]
        inner = [move for kind in moves for move, is_whole in list(kind)[1:-1] if is_whole]
        assert len(set(inner)) == 1  # one offset for all, to the sample
        found += len(item.phones)
    assert len(items) > 3
    assert found > 0.8 * len(aligned["phones"])


def test_phones_come_back_from_kaldi_and_lhotse(store: Path, tmp_path: Path) -> None:
    items = {item.id: item for item in read_items(store)}
    export(items.values(), "kaldi", tmp_path / "kaldi")
    lines = [line.split() for line in (tmp_path / "kaldi" / "phones.ctm").read_text().splitlines()]
    own: dict[str, list[tuple[int, int, str]]] = {id: [] for id in items}
    for id, _, start, duration, symbol in lines:
        first = round(float(start) * RATE)
        own[id].append((first, first + round(float(duration) * RATE), symbol))
    for id, item in items.items():
        assert own[id] == [(round(a * RATE), round(b * RATE), symbol) for a, b, symbol in item.phones]
    export(items.values(), "lhotse", tmp_path / "lhotse")
    (tmp_path / "lhotse" / "cuts.jsonl.gz").rename(tmp_path / "cuts.jsonl.gz")
    for recording in READERS["lhotse"](tmp_path / "cuts.jsonl.gz"):
        [turn] = recording.turns
        for kind in ("words", "phones"):
            back = [(w.segment.start, w.segment.stop, w.text) for w in getattr(turn, kind)]
            item = items[recording.id]
            assert back == [(round(a * RATE), round(b * RATE), s) for a, b, s in getattr(item, kind)]


@pytest.mark.interop
def test_lhotse_reads_phones_as_an_alignment(store: Path, tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    export(read_items(store), "lhotse", tmp_path / "lhotse")
    for cut in lhotse.load_manifest(tmp_path / "lhotse" / "cuts.jsonl.gz"):
        [supervision] = cut.supervisions
        [item] = [item for item in read_items(store) if item.id == cut.id]
        phones = [
            (p.symbol, round(p.start * RATE), round(p.end * RATE)) for p in supervision.alignment["phone"]
        ]
        assert phones == [(s, round(a * RATE), round(b * RATE)) for a, b, s in item.phones]


@pytest.mark.interop
def test_parquet_and_webdataset_hold_phones(store: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import tarfile

    import pyarrow.parquet

    items = {item.id: item for item in read_items(store)}
    export(items.values(), "parquet", tmp_path / "parquet")
    for row in pyarrow.parquet.read_table(tmp_path / "parquet" / "data-00000.parquet").to_pylist():
        own = [(phone["start"], phone["stop"], phone["text"]) for phone in row["phones"]]
        assert tuple(own) == items[row["id"]].phones
    export(items.values(), "webdataset", tmp_path / "shards")
    with tarfile.open(tmp_path / "shards" / "shard-000000.tar") as shard:
        for member in shard.getmembers():
            if member.name.endswith(".json"):
                facts = json.loads(shard.extractfile(member).read())  # type: ignore[union-attr]
                assert tuple(map(tuple, facts["phones"])) == items[member.name.removesuffix(".json")].phones


def test_phones_are_those_of_the_turn_and_none_of_a_muted_range() -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(6 * RATE)
    phones = tuple(Word(Segment(n * 4_000, (n + 1) * 4_000), f"p{n}") for n in range(24))
    turns = [
        Turn(Segment(8_000, 40_000), phones=phones[2:10]),
        Turn(Segment(48_000, 88_000), phones=phones[12:22]),
    ]
    policy = Policy.preset("natural", carry=("phones",))
    snippets = list(deidentify((samples, RATE), policy, turns=turns, mute=[Segment(60_100, 60_200)]))
    first, second = sorted(snippets, key=lambda s: s.turn.segment)  # type: ignore[union-attr]
    assert [w.text for w in first.phones] == [f"p{n}" for n in range(2, 10)]
    assert [w.segment.start for w in first.phones] == [4_000 * n for n in range(8)]
    assert [w.text for w in second.phones] == [
        "p12",
        "p13",
        *(f"p{n}" for n in range(16, 22)),
    ]  # 15, and its margin
    assert not first.words


def test_a_pipeline_of_datasets_carries_phones(recordings: Path) -> None:
    phones = [{"start": n / 4, "stop": (n + 1) / 4, "text": f"p{n}"} for n in range(60)]
    batch = {"audio": [{"bytes": (recordings / "call.wav").read_bytes(), "path": None}], "phones": [phones]}
    rows = MapBatch(Policy.preset("natural", carry=("phones",)))(batch)
    told = [phone["text"] for row in rows["phones"] for phone in row]
    assert len(told) > 20
    assert len(told) == len(set(told))


def test_phones_need_a_disguise_that_keeps_time(
    recordings: Path, tmp_path: Path, deident: Callable[..., CompletedProcess[str]]
) -> None:
    (tmp_path / "p.ctm").write_text("reading 1 0.5 0.1 AH\n")
    done = deident(
        "run", str(recordings / "reading.mp3"), "--phones", str(tmp_path / "p.ctm"), "--carry", "phones",
        "--out", str(tmp_path / "store"),
    )  # fmt: skip
    assert done.returncode == 2
    assert "--carry phones: this disguise changes the timing" in done.stderr
