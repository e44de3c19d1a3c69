"""TextGrids: both text forms and their encodings in, one beside each snippet out, exact to the sample."""

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from deident.datasets import export
from deident.datasets.annotation_files import Annotation, read_annotations
from deident.datasets.annotations import with_phones
from deident.datasets.items import Item, read_items
from deident.errors import SettingError
from deident.recording import Recording
from deident.segment import RATE, Segment

Timed = list[tuple[int, int, str]]  # start and stop in samples, label
SHORT = '''File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
3
"IntervalTier"
"anna - words"
0
2.5
3
0
0.30001
""
0.30001
1.25
"sagte ""Grüße"""
1.25
2.5
"o zwei"
"TextTier"
"bells"
0
2.5
1
1.0
"ding"
"IntervalTier"
"phones"
0
2.5
2
0
1e0
"ʃ"
1.0
2.5
" "
'''
LONG = '''File type = "ooTextFile"
Object class = "TextGrid"
! made by hand: 3 "tiers"
xmin = 0
xmax = 2.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "anna - words"
        xmin = 0
        xmax = 2.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.30001
            text = ""
        intervals [2]:
            xmin = 0.30001
            xmax = 1.25
            text = "sagte ""Grüße"""
        intervals [3]:
            xmin = 1.25
            xmax = 2.5
            text = "o zwei"
    item [2]:
        class = "TextTier"
        name = "bells"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1.0
            mark = "ding"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1e0
            text = "ʃ"
        intervals [2]:
            xmin = 1.0
            xmax = 2.5
            text = " "
'''


def read(path: Path, tier: str) -> Timed:
    return [(a.segment.start, a.segment.stop, str(a.text)) for a in read_annotations(path, tier=tier)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", [SHORT, LONG, LONG.replace("\n", "\r\n")], ids=["short", "long", "CRLF"])
def test_both_forms_are_read_in_all_encodings(text: str, encoding: str, tmp_path: Path) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "a.TextGrid").write_bytes((mark + text).encode(encoding))
    assert read(tmp_path / "a.TextGrid", "words") == [
        (4_800, 20_000, 'sagte "Grüße"'),
        (20_000, 40_000, "o zwei"),
    ]
    assert read(tmp_path / "a.TextGrid", "phones") == [(0, 16_000, "ʃ")]
    assert {a.recording for a in read_annotations(tmp_path / "a.TextGrid", tier="words")} == {"a"}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"TextGrid"', '"Praat chronological TextGrid text file"', "as a text file or a short text file"),
        ("0\n2.5\n<exists>", "7.5\n2.5\n<exists>", "begins at 0"),
        (
            '"IntervalTier"\n"phones"',
            '"SoundTier"\n"phones"',
            "tier 3: expected a tier of intervals or points",
        ),
        ("1.25\n2.5\n", "1.25\n", "tier 1, interval 3: expected a TextGrid as Praat"),
        ("1.25\n2.5\n", "2.5\n1.25\n", "tier 1, interval 3: expected a start before its stop"),
        ('""Grüße""', '"Grüße"', "tier 1, interval 2: expected a TextGrid as Praat"),
        ("<exists>\n3", "<exists>\n4", "tier 4: expected a TextGrid as Praat"),
        ("<exists>\n3", "<exists>\n2", "behind its tiers: expected a TextGrid as Praat"),
        ("<exists>\n3", "<exists>\n2.5", "number of tiers"),
        ("anna - words", "anna - orts", "an interval tier named words or word or ort-mau"),
    ],
)
def test_what_is_not_understood_is_an_error(old: str, new: str, why: str, tmp_path: Path) -> None:
    assert old in SHORT
    (tmp_path / "a.TextGrid").write_text(SHORT.replace(old, new, 1))
    with pytest.raises(SettingError, match=re.escape(why)) as error:
        read(tmp_path / "a.TextGrid", "words")
    assert not any(word in str(error.value) for word in ("anna", "orts", "Grüße", "zwei", str(tmp_path)))


def test_the_only_tier_counts_whatever_its_name(tmp_path: Path) -> None:
    one = (
        SHORT.replace("<exists>\n3", "<exists>\n1").replace("anna - words", "Mary").partition('"TextTier"')[0]
    )
    (tmp_path / "a.TextGrid").write_text(one)
    for tier in ("words", "phones", "turns", "mute", ""):
        assert len(read(tmp_path / "a.TextGrid", tier)) == 2
    (tmp_path / "a.TextGrid").write_text(one.replace("Mary", "words"))
    assert len(read(tmp_path / "a.TextGrid", "mute")) == 2
    with pytest.raises(SettingError, match="named phones or phone or mau"):  # words are no phones
        read(tmp_path / "a.TextGrid", "phones")
    (tmp_path / "a.TextGrid").write_text(SHORT)
    with pytest.raises(SettingError, match="expected a single interval tier; got 2"):
        read(tmp_path / "a.TextGrid", "mute")


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    for name in ("anna/1.TextGrid", "bob/1.TextGrid", "bob/2.textgrid"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SHORT)
    (tmp_path / "anna" / "1.txt").write_text("no TextGrid")
    names = [a.recording for a in read_annotations(tmp_path, tier="phones")]
    assert names == ["anna/1", "bob/1", "2"]  # a stem where it is the only one of its kind
    places = ("corpus/anna/1.wav", "corpus/bob/1.wav", "corpus/bob/2.wav")
    own = with_phones([Recording(place) for place in places], read_annotations(tmp_path, tier="phones"))
    assert [[w.text for turn in recording.turns for w in turn.phones] for recording in own] == [["ʃ"]] * 3
    with pytest.raises(SettingError, match="1 of the names in the file are of several recordings"):
        with_phones(
            [Recording(f"{n}/bob/2.wav") for n in "ab"], [Annotation("bob/2", Segment(0, 9), text="x")]
        )
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingError, match="expected TextGrids in the folder; there is none"):
        read_annotations(tmp_path / "empty")


@pytest.fixture
def store(recordings: Path, tmp_path: Path, deident: Callable[..., CompletedProcess[str]]) -> Path:
    """A store of snippets with words and phones, by aligner's positions that no frame rate divides."""
    rng, at = np.random.default_rng(6), 0
    times: list[str] = []
    while at < 23 * RATE:
        stop = at + int(rng.integers(3_000, 7_001))
        times.append(f'{at / RATE:.6f}\n{stop / RATE:.6f}\n"w{len(times)}"')
        at = stop
    tiers = [
        f'"IntervalTier"\n"{name}"\n0\n24\n{len(times)}\n' + "\n".join(times).replace("w", kind)
        for name, kind in (("phones", "p"), ("words", "w"))
    ]
    (tmp_path / "reading.TextGrid").write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n24\n<exists>\n2\n' + "\n".join(tiers)
    )
    grid = tmp_path / "reading.TextGrid"
    done = deident(
        "run", recordings / "reading.mp3", "--words", grid, "--phones", grid, "--carry", "text,words,phones",
        "--preset", "natural", "--out", tmp_path / "store",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tmp_path / "store"


def samples(timed: tuple[tuple[float, float, str], ...]) -> Timed:
    return [(round(start * RATE), round(stop * RATE), text) for start, stop, text in timed]


def test_an_export_comes_back_to_the_sample(
    store: Path, tmp_path: Path, deident: Callable[..., CompletedProcess[str]]
) -> None:
    items = read_items(store)
    assert len(items) > 3
    assert deident("export", store, "--to", "textgrid", "--out", tmp_path / "out").returncode == 0
    for item in items:
        grid = tmp_path / "out" / f"{item.id}.TextGrid"
        assert grid.with_suffix(".wav").read_bytes() == item.read()
        assert read(grid, "words") == samples(item.words) != []
        assert read(grid, "phones") == samples(item.phones) != []
        assert read(grid, "turns") == [(0, round(item.seconds * RATE), item.text)]
    again = deident(
        "run", tmp_path / "out", "--words", tmp_path / "out", "--phones", tmp_path / "out",
        "--carry", "words,phones", "--preset", "natural", "--out", tmp_path / "again",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    spoken = {text for item in items for _, _, text in item.words}
    assert len({text for item in read_items(tmp_path / "again") for _, _, text in item.words} & spoken) > 10


def one_item(path: Path, **fields: object) -> Item:
    import hashlib

    (path / "x.wav").write_bytes(b"sound")
    digest = hashlib.sha256(b"sound").hexdigest()
    return Item("x", "x.wav", path / "x.wav", 1.0, RATE, digest, **fields)  # type: ignore[arg-type]


def test_words_that_overlap_lie_on_several_tiers(tmp_path: Path) -> None:
    words = ((0.0, 0.5, "a"), (0.25, 0.75, 'b "c"\nd'), (0.5, 1.0, "e"))
    export([one_item(tmp_path, words=words)], "textgrid", tmp_path / "out")
    grid = tmp_path / "out" / "x.TextGrid"
    assert grid.read_text().count('name = "words"') == 2
    assert sorted(read(grid, "words")) == [(0, 8_000, "a"), (4_000, 12_000, 'b "c" d'), (8_000, 16_000, "e")]
    export([one_item(tmp_path)], "textgrid", tmp_path / "bare")
    assert not list((tmp_path / "bare").glob("*.TextGrid"))


@pytest.mark.interop
def test_praatio_reads_what_is_written_and_the_other_way_round(store: Path, tmp_path: Path) -> None:
    textgrid = pytest.importorskip("praatio.textgrid")
    export(read_items(store), "textgrid", tmp_path / "out")
    for item in read_items(store):
        path = tmp_path / "out" / f"{item.id}.TextGrid"
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
        assert grid.tierNames == ("text", "words", "phones")
        for name in ("words", "phones"):
            tier = grid.getTier(name)
            assert samples(tier.entries) == samples(getattr(item, name))
            assert (tier.minTimestamp, tier.maxTimestamp) == (0.0, pytest.approx(item.seconds, abs=1e-5))
        for form in ("long_textgrid", "short_textgrid"):
            grid.save(str(tmp_path / "saved.TextGrid"), format=form, includeBlankSpaces=True)
            assert read(tmp_path / "saved.TextGrid", "phones") == samples(item.phones)


@pytest.mark.parametrize("form", ["short", "long", "CRLF"])
def test_lines_that_changed_places_move_no_label(form: str, tmp_path: Path) -> None:
    """A tier is filled: an edge that was moved leaves a gap or an overlap."""
    text = SHORT if form == "short" else LONG.replace("\n", "\r\n" if form == "CRLF" else "\n")
    lines, path = text.split("\n"), tmp_path / "a.TextGrid"
    numbers = [n for n, line in enumerate(lines) if re.search(r"(xm\w+ =|^) ?[\d.e]+\r?$", line)]
    assert len(numbers) > 14
    path.write_text(text, newline="")
    right = {tier: set(read(path, tier)) for tier in ("words", "phones")}
    refused = 0
    for one, other in combinations(numbers, 2):
        mangled = list(lines)
        mangled[one], mangled[other] = lines[other], lines[one]
        path.write_text("\n".join(mangled), newline="")
        try:
            found = {tier: set(read(path, tier)) for tier in right}
        except SettingError:
            refused += 1
        else:
            assert found == right
    assert refused > 50
