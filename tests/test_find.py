"""Finding spoken names and numbers: what counts, where it is placed, and that doubt silences more, never less."""

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deident.audio import RATE, Floats, Samples, Segment
from deident.datasets.annotation_files import read_annotations
from deident.datasets.annotations import with_mute
from deident.errors import ExtraMissingError, RecordingError, SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.programme import recognising
from deident.programme.finding import (
    CHUNK_SECONDS,
    UNREAD,
    Finder,
    annotations_of,
    chunks_of,
    find_in,
)
from deident.programme.recognising import SpokenWord, WhisperWords, keeping_results
from deident.programme.spoken import ListedNames, Presidio
from deident.recording import Recording
from deident.runs.run import run
from deident.store import FolderStore
from tests.methods import Sine
from tests.voices import speech


class Says:
    """A recogniser that hears the same words in every chunk that is loud."""

    def __init__(self, *words: tuple[str, float, float, float]) -> None:
        self.words = words

    def __call__(self, samples: Samples) -> Sequence[tuple[str, float, float, float]]:
        return self.words if np.abs(samples).max() > 0.01 else ()


def noise(seconds: float) -> Samples:
    return np.float32(0.1) * np.random.default_rng(1).standard_normal(round(seconds * RATE), np.float32)


def ranges(finder: Finder, samples: Samples, kind: str = "NUMBER") -> list[tuple[float, float]]:
    return [(s.start / RATE, s.stop / RATE) for s, k in finder.in_samples(samples) if k == kind]


def test_a_string_reaches_from_the_word_before_to_the_word_after() -> None:
    """All of a string is placed at its end by recognisers."""
    words = ("up.", 2.5, 3.0, 0.9), ("865230.", 5.7, 6.2, 0.5), ("I", 8.6, 9.2, 0.9)
    [(start, stop)] = ranges(Finder(Says(*words), passes=1), noise(10))
    assert 2.5 < start < 3.0
    assert 8.6 < stop < 9.2
    [(start, stop)] = ranges(Finder(Says(words[1]), passes=1), noise(10))
    assert (start, stop) == (0.0, 10.0)


def test_a_word_that_lasts_too_long_does_not_bound_a_string() -> None:
    words = ("up.", 2.5, 3.0, 0.9), ("865230.", 5.7, 6.2, 0.5), ("The", 6.5, 8.5, 0.9), ("men", 8.6, 9.2, 0.9)
    [(_, stop)] = ranges(Finder(Says(*words), passes=1), noise(10))
    assert 8.6 < stop < 9.2


def test_doubt_makes_ranges_longer() -> None:
    def long(own: float, before: float) -> float:
        words = (
            ("far", 0.1, 0.4, 0.9),
            ("up", 2.5, 3.0, before),
            ("8652", 5.7, 6.2, own),
            ("I", 8.6, 9.2, 0.9),
        )
        [(start, stop)] = ranges(Finder(Says(*words), passes=1), noise(10))
        return stop - start

    assert long(0.9, 0.9) < long(0.2, 0.9)
    assert long(0.9, 0.9) < long(0.9, 0.6) < long(0.9, 0.3) - 1.5  # a word that is not trusted bounds nothing

    def named(confidence: float) -> float:
        search = ListedNames(("Ada Byron",))
        words = ("Ada", 2.0, 2.4, confidence), ("Byron", 2.4, 3.0, 0.9), ("said", 4.0, 4.5, 0.9)
        [(start, stop)] = ranges(Finder(Says(*words), (search,), passes=1), noise(6), "LISTED")
        assert start < 2.0
        assert 3.0 < stop < 4.0
        return stop - start

    assert named(0.9) < named(0.3)


def test_times_that_cannot_be_are_not_believed() -> None:
    words = ("up", 1.0, 1.5, 0.9), ("Ada", 3.0, 3.0, 0.9), ("said", 5.0, 5.5, 0.9)
    [(start, stop)] = ranges(Finder(Says(*words), (ListedNames(("Ada",)),), passes=1), noise(6), "LISTED")
    assert start < 1.5
    assert stop > 5.0


def test_a_string_over_the_edge_of_a_chunk_is_one() -> None:
    samples = np.concatenate([noise(20), np.zeros(8_000, np.float32), noise(20)])
    first, _ = chunks_of(samples, CHUNK_SECONDS[0])
    edge = first.stop / RATE
    assert 20 < edge < 20.5

    def recognise(samples: Samples) -> list[tuple[str, float, float, float]]:
        if samples.size == len(first):
            return [
                ("up", 1.0, 2.0, 1.0),
                ("4", edge - 1, edge - 0.8, 1.0),
                ("2", edge - 0.5, edge - 0.3, 1.0),
            ]
        return [("1", 0.3, 0.5, 1.0), ("7", 0.6, 0.8, 1.0), ("men", 4.0, 4.5, 1.0)]

    [(start, stop)] = ranges(Finder(recognise, passes=1), samples)
    assert start < 2.0
    assert stop > edge + 4.0


@pytest.mark.parametrize("seconds", [0.0, 0.1, 27.9, 28.0, 28.1, 95.0])
def test_chunks_are_all_of_the_sound(seconds: float) -> None:
    samples = noise(seconds)
    chunks = list(chunks_of(samples, 28.0))
    assert sum(map(len, chunks)) == samples.size
    assert all(len(chunk) <= 28 * RATE for chunk in chunks)
    assert all(a.stop == b.start for a, b in itertools.pairwise(chunks))


def test_speech_that_cannot_be_read_counts_as_found() -> None:
    samples = np.concatenate([np.zeros(RATE, np.float32), speech(seconds=3.0), np.zeros(RATE, np.float32)])
    samples = samples.astype(np.float32)
    for words, is_read in (
        ((), False),
        ((("mumble", 1.0, 4.0, 0.1),), False),
        (tuple(("well", 1.0 + 0.5 * k, 1.4 + 0.5 * k, 0.9 * (k in (1, 3))) for k in range(6)), False),
        (tuple(("well", 1.0 + 0.5 * k, 1.4 + 0.5 * k, 0.9) for k in range(6)), True),
        ((("well", 1.0, 4.0, 0.9),), False),
    ):
        got = ranges(Finder(Says(*words), passes=1), samples, UNREAD)
        assert bool(got) != is_read
        assert is_read or (got[0][0] < 1.3 and got[-1][1] > 3.7)


@pytest.mark.parametrize(("text", "is_read"), [("and", False), ("incomprehensibly", True)])
def test_a_short_word_does_not_account_for_a_name_beside_it(text: str, is_read: bool) -> None:
    """Whisper may leave a name out, and let the word before or after it last as long."""
    spoken = speech(seconds=2.0)
    words = (text, 0.1, 1.7, 0.9), ("so", 1.7, 2.0, 0.9)
    assert bool(ranges(Finder(Says(*words), passes=1), spoken, UNREAD)) != is_read


def test_a_second_pass_adds_and_never_takes_away() -> None:
    samples = np.concatenate([noise(15), np.zeros(6_000, np.float32), noise(15)])
    sizes = {size: [len(c) for c in chunks_of(samples, size)] for size in CHUNK_SECONDS}
    only_first = [size for size in sizes[CHUNK_SECONDS[0]] if size not in sizes[CHUNK_SECONDS[1]]]

    def recognise(samples: Samples) -> list[tuple[str, float, float, float]]:
        hears = samples.size in only_first[:1]
        return [("up", 1.0, 1.2, 1.0), ("4217" if hears else "four", 3.0, 4.0, 1.0), ("we", 5.0, 5.5, 1.0)]

    [(start, stop)] = ranges(Finder(recognise, passes=1), samples)
    [(start2, stop2)] = ranges(Finder(recognise, passes=2), samples)
    assert start2 < start  # and more, as they disagree
    assert stop2 > stop


def test_a_recogniser_that_expects_the_names_of_a_list_is_a_pass_more() -> None:
    """Whisper leaves out a name that it does not know."""
    plain = Says(("so", 1.0, 1.3, 0.9), ("said", 3.0, 3.4, 0.9))
    prompted = Says(
        ("so", 1.0, 1.3, 0.9), ("Ada", 1.6, 2.0, 0.1), ("Byron", 2.0, 2.5, 0.2), ("said", 3.0, 3.4, 0.9)
    )
    search = (ListedNames(("Ada Byron",)),)
    assert ranges(Finder(plain, search), noise(6), "LISTED") == []
    finder = Finder(plain, search, expecting=(prompted,))
    starts, stops = zip(*ranges(finder, noise(6), "LISTED"), strict=True)
    assert min(starts) < 1.6
    assert max(stops) > 2.5
    assert not finder.is_clean(noise(6), RATE)
    assert Finder(plain, search).is_clean(noise(6), RATE)
    number = Says(("so", 1.0, 1.3, 0.9), ("4217", 2.0, 2.5, 0.9))
    for kinds, recognisers in (
        ([], (plain,)),
        (["NUMBER"], (plain, number)),
        (["LISTED", "NUMBER"], (prompted, number)),
    ):
        assert sorted({*Finder(plain, search).kinds_in(noise(6), recognisers)}) == kinds
    with pytest.raises(SettingError, match="callables"):
        Finder(plain, expecting=("Ada",))  # type: ignore[arg-type]


def test_all_recognisers_read_a_sound_before_the_next_is_read() -> None:
    """So a model encodes it once."""
    for seconds, passes, readings in ((5.0, 1, [3]), (60.0, 1, [3, 3, 3]), (35.0, 2, [3, 3, 1, 1])):
        sounds: list[bytes] = []

        def recognise(samples: Samples, sounds: list[bytes] = sounds) -> tuple[()]:
            sounds.append(samples.tobytes())
            return ()

        two = (recognise, recognise)
        finder = Finder(recognise, passes=passes, expecting=two, again=(recognise,))
        finder.in_samples(noise(seconds))
        assert [len([*same]) for _, same in itertools.groupby(sounds)] == readings
        sounds.clear()
        assert finder.is_clean(noise(seconds / 5), RATE)
        assert [len([*same]) for _, same in itertools.groupby(sounds)] == [4, 4]


def test_a_sound_is_encoded_once_by_recognisers_of_one_model() -> None:
    encoded: list[tuple[int, ...]] = []

    def encode(features: Floats) -> float:
        encoded.append(features.shape)
        return float(features.sum())

    kept = keeping_results(encode)
    features = np.ones((2, 3), np.float32)
    for factor in (1, 2, 3, 1, 2, 3):
        assert kept(features * np.float32(factor)) == 6 * factor
    assert kept(features.reshape(3, 2)) == 6
    assert encoded == [(2, 3)] * 3 + [(3, 2)]
    for number in range(10):  # hardly anything is kept
        kept(features * np.float32(number))
    encoded.clear()
    kept(features)
    assert len(encoded) == 1


def test_a_long_list_is_expected_in_several_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faster_whisper")

    class Letters:
        """Stands for the tokens of a model, which is not at hand: a token a letter."""

        hf_tokenizer = property(lambda self: self)

        def encode(self, text: str, *, add_special_tokens: bool) -> Any:
            return SimpleNamespace(ids=list(text))

    monkeypatch.setattr(recognising, "whisper_model", lambda model: Letters())
    names = [f"Name {number:04}" for number in range(50)]
    groups = [one.expected for one in WhisperWords("m", "de").expecting(names)]
    assert [name for group in groups for name in group] == names
    assert [len(group) for group in groups] == [20, 20, 10]  # of 9 letters, and 2 between
    assert list(WhisperWords("m").expecting([])) == []


def test_every_channel_is_searched(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([np.zeros(80_000), noise(5)[:80_000]], axis=1), RATE)
    finder = Finder(Says(("up", 0.5, 1.0, 0.9), ("4217", 2.0, 2.5, 0.9), ("we", 3.0, 3.5, 0.9)), passes=1)
    assert [one.kind for one in finder.in_recording(Recording(str(path)))] == ["NUMBER"]


def test_what_is_found_is_muted_and_its_words_are_nowhere(tmp_path: Path, recordings: Path) -> None:
    finder = Finder(Says(("up", 1.0, 1.5, 0.9), ("865230", 2.0, 2.5, 0.9), ("I", 4.0, 4.5, 0.9)), passes=1)
    recording = Recording(str(recordings / "reading.mp3"))
    tried = find_in([recording], finder)
    data = annotations_of(tried.found)
    assert b"865230" not in data
    rows = json.loads(data)
    assert {row["kind"] for row in rows} >= {"NUMBER"}
    file = tmp_path / "mute.json"
    file.write_bytes(data)
    [again] = with_mute([recording], read_annotations(file))
    assert [s.start // 16 for s in again.mute] == [s.start // 16 for s in tried.recordings[0].mute]
    assert "865230" not in repr(SpokenWord("865230", 0.0, 1.0))


def test_a_store_counts_what_was_muted_by_kind(tmp_path: Path, recordings: Path) -> None:
    finder = Finder(fluent, passes=1)
    given = [Recording(str(recordings / "call.wav"), mute=(Segment(0, 99),))]
    tried = find_in(given, finder)
    file, key = tmp_path / "mute.json", Key(bytes(32))
    file.write_bytes(annotations_of(tried.found))
    rows = json.loads(file.read_bytes())
    file.write_text(json.dumps([*rows, {**rows[0], "kind": "Ann Smith"}]))
    answers = itertools.cycle([False, True])
    policy = Policy(disguise=Sine(), verify=lambda samples, rate: next(answers))
    expected = {f"found:{kind}": count for kind, count in tried.kinds.items()}
    for number, recording in enumerate((tried.recordings[0], *with_mute(given, read_annotations(file)))):
        for _ in range(2):  # the second time it is known
            run([recording], tmp_path / f"{number}", policy, key=key, jobs=1)
        with FolderStore(tmp_path / f"{number}", key=key) as store:
            counts = store.counts([*expected, "found:UNNAMED", "found:Ann Smith", "dropped:found"])
        assert counts.pop("dropped:found") > 0
        assert counts == {**expected, "found:UNNAMED": 1 + number}


def test_what_cannot_be_searched_is_refused_by_a_run(tmp_path: Path, recordings: Path) -> None:
    def fails(samples: Samples) -> list[SpokenWord]:
        raise RuntimeError("/secret/path")

    given = [Recording(str(recordings / "reading.mp3"))]
    tried = find_in(given, Finder(fails))
    assert tried.failed == 1
    file = tmp_path / "mute.json"
    file.write_bytes(annotations_of(tried.found))
    for muted in (tried.recordings, with_mute(given, read_annotations(file))):
        summary = run(muted, tmp_path / "s", Policy(disguise=Sine()), jobs=1)
        assert (summary.states["refused"], summary.codes, summary.snippets) == (1, {"mute-range": 1}, 0)
    with pytest.raises(RecordingError, match=r"failed \(RuntimeError\)$"):
        Finder(fails).in_samples(noise(2))


def fluent(samples: Samples) -> list[tuple[str, float, float, float]]:
    """Recognise a number, and then the same word over and over."""
    count = int(samples.size / RATE / 0.4)
    return [("4217" if k == 1 else "well", 0.4 * k, 0.4 * k + 0.4, 0.9) for k in range(count)]


def test_find_is_a_command_and_part_of_a_run(
    deident: Callable[..., CompletedProcess[str]], tmp_path: Path, recordings: Path
) -> None:
    out = tmp_path / "mute.json"
    own = ["--recogniser", "tests.test_find:fluent", "--passes", "1"]
    result = deident("find", recordings / "reading.mp3", "--out", out, *own)
    assert result.returncode == 0
    assert "searched 1 recording, and found " in result.stdout
    assert "NUMBER" in result.stdout
    assert out.stat().st_mode & 0o777 == 0o600
    assert deident("find", recordings / "reading.mp3", "--out", out, *own).returncode == 2  # it is there
    muted = deident(
        "run", recordings / "reading.mp3", "--out", tmp_path / "a", "--mute", out, "--jobs", "1", "--json"
    )
    whole = ["--find", "--find-recogniser", "tests.test_find:fluent", "--find-passes", "1", "--jobs", "1"]
    found = deident("run", recordings / "reading.mp3", "--out", tmp_path / "b", *whole, "--json")
    assert "found" in found.stderr
    seconds = [json.loads(one.stdout)["speech_seconds"] for one in (muted, found)]
    assert seconds[0] == pytest.approx(seconds[1], abs=0.01)
    nothing = deident(
        "run", recordings / "reading.mp3", "--out", tmp_path / "c", *whole, "--verify", "--quiet"
    )
    assert list((tmp_path / "b").glob("*.wav"))
    assert not list((tmp_path / "c").glob("*.wav"))
    assert nothing.returncode == 1
    assert "--model" in deident("find", recordings, "--out", tmp_path / "x.json").stderr
    assert "--find-model" in deident("run", recordings, "--out", tmp_path / "x", "--find").stderr


def test_a_search_that_found_nothing_can_be_given_to_a_run(tmp_path: Path) -> None:
    file = tmp_path / "mute.json"
    file.write_bytes(annotations_of({"/a.wav": []}))
    assert read_annotations(file, may_be_empty=True) == []
    with pytest.raises(SettingError, match="no segment"):
        read_annotations(file)


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    for make in (lambda: WhisperWords("base"), Presidio):
        with pytest.raises(ExtraMissingError, match=r"deident\[find\]"):
            make()


def test_wrong_answers_and_settings_are_refused() -> None:
    for wrong in ({"passes": 3}, {"min_confidence": 2.0}, {"recognise": 7}):
        with pytest.raises(SettingError):
            Finder(**{"recognise": Says(), **wrong})  # type: ignore[arg-type]
    finder = Finder(Says(("a", 0.0, 1.0, 1.0)), (lambda words: [(0, 5, "X")],), passes=1)
    with pytest.raises(RecordingError, match="not there"):
        finder.in_samples(noise(1))


def test_a_segment_is_what_a_search_gives() -> None:
    found = Finder(Says(("up", 1.0, 1.5, 0.9), ("865230", 2.0, 2.5, 0.9)), passes=1).in_samples(noise(4))
    assert all(isinstance(one.segment, Segment) for one in found)
