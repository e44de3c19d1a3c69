"""The contracts of disguises, containers, exporters and attackers: functions that assert what each of them must do."""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import pickle
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deident.audio import RATE, Audio
from deident.codec import decode
from deident.containers import CONTAINERS, Container, recognise
from deident.containers.source import Memory
from deident.datasets import Exporter
from deident.datasets.items import Item
from deident.disguise import Method
from deident.errors import RecordingError, SettingError, StoreError
from deident.evaluation import metrics
from deident.evaluation.attack import Attacker, Evidence
from deident.evaluation.attackers import ATTACKERS, SemiInformed
from deident.evaluation.corpus import InMemory, Utterance
from deident.evaluation.fusion import fuse
from deident.evaluation.trials import Trials
from deident.scanners import scan
from tests.recordings import SECONDS
from tests.voices import CHILD, MAN, WOMAN, Speaker, speech, vowel

Samples = npt.NDArray[np.floating[Any]]
Contract = Callable[[Method[Any]], None]

_TIME = np.arange(RATE) / RATE
_NOISE = np.random.default_rng(5).uniform(-1.0, 1.0, RATE)
HOSTILE: dict[str, Samples] = {
    "nothing": np.zeros(0),
    "one sample": np.array([0.7]),
    "less than a frame": np.full(100, -0.3),
    "silence": np.zeros(RATE),
    "offset": np.full(RATE, 0.5),
    "sine": np.sin(2.0 * np.pi * 440.0 * _TIME),
    "hum": 0.01 * np.sin(2.0 * np.pi * 50.0 * _TIME),
    "highest tone": np.tile((1.0, -1.0), RATE // 2),
    "square": np.sign(np.sin(2.0 * np.pi * 100.3 * _TIME)),
    "clipped music": np.clip(
        sum(np.sin(2.0 * np.pi * f * _TIME) for f in (220.0, 277.2, 329.6, 1_318.0)), -1, 1
    ),
    "click": np.eye(1, RATE, 8_000)[0],
    "noise at full scale": _NOISE,
    "noise below rounding": 1e-30 * _NOISE,
    "child": 0.5 * np.asarray(vowel("a", 450.0, 1.0, 1.35)),
    "creak": np.asarray(vowel("o", 55.0, 1.0)),
    "beyond full scale": 40.0 * _NOISE,
    "onset": np.concatenate((np.zeros(RATE // 2), speech(MAN, 0.5))),
}


def survives_anything(method: Method[Any]) -> None:
    rng = np.random.default_rng(1)
    for name, samples in HOSTILE.items():
        out = method.apply(Audio(samples, RATE), method.draw(rng), np.random.default_rng(0))
        assert (out.rate, out.channels) == (RATE, 1), name
        assert min(len(samples), 1) <= len(out) <= method.stretch * len(samples), name
        assert np.isfinite(out.samples).all(), name
        assert np.abs(out.samples).max(initial=0.0) <= 1.0, name


def silence_stays_silent(method: Method[Any]) -> None:
    for seed in range(3):
        out = method.apply(
            Audio(np.zeros(2 * RATE), RATE),
            method.draw(np.random.default_rng(seed)),
            np.random.default_rng(0),
        )
        assert np.abs(out.samples).max() <= 1e-3


def speech_stays_audible(method: Method[Any]) -> None:
    for speaker in (MAN, WOMAN, CHILD, Speaker(130.0, jitter=0.02, breath=0.3)):
        out = method.apply(
            Audio(speech(speaker), RATE), method.draw(np.random.default_rng(2)), np.random.default_rng(0)
        )
        assert 0.01 < np.sqrt(np.mean(out.samples**2)) < 0.3


def speech_is_changed(method: Method[Any]) -> None:
    samples = speech(WOMAN)
    for seed in range(5):
        out = method.apply(
            Audio(samples, RATE), method.draw(np.random.default_rng(seed)), np.random.default_rng(0)
        ).mono
        count = min(len(out), len(samples))
        likeness = np.corrcoef(out[:count], samples[:count])[0, 1]
        assert abs(likeness) < 0.7, "the output is nearly the input"


def voices_differ(method: Method[Any]) -> None:
    rng, audio = np.random.default_rng(3), Audio(speech(seconds=1.0), RATE)
    one, two = (method.apply(audio, method.draw(rng), np.random.default_rng(0)) for _ in range(2))
    assert one != two


def the_voice_decides_alone(method: Method[Any]) -> None:
    audio, other = Audio(speech(seconds=1.0), RATE), Audio(speech(WOMAN, 1.5, seed=1), RATE)
    voice = method.draw(np.random.default_rng(4))
    first = method.apply(audio, voice, np.random.default_rng(0))
    method.apply(other, method.draw(np.random.default_rng(5)), np.random.default_rng(0))
    assert method.apply(audio, voice, np.random.default_rng(0)) == first


def the_generator_decides_alone(method: Method[Any]) -> None:
    one, two = (pickle.dumps(method.draw(np.random.default_rng(6))) for _ in range(2))
    assert one == two
    assert pickle.dumps(method.draw(np.random.default_rng(7))) != one


def a_kept_voice_keeps_no_noise(method: Method[Any]) -> None:
    """Two snippets in one voice share no waveform: neither of other words, nor of the same words said again."""
    samples = {"one": speech(MAN, 3.0, seed=21), "other": speech(WOMAN, 3.0, seed=22)}
    quiet = {
        name: 1e-3 * np.random.default_rng(k).standard_normal(3 * RATE) for k, name in enumerate(samples)
    }
    for pair in (samples, quiet):
        voice = method.draw(np.random.default_rng(13))
        one, other = (
            method.apply(Audio(own, RATE), voice, np.random.default_rng(seed)).mono
            for seed, own in enumerate(pair.values())
        )
        assert phase_correlation(one, other) < 0.1, "two snippets in one voice share their noise"


def phase_correlation(one: Samples, other: Samples) -> float:
    """Largest correlation at any delay, of phases alone up to 7 kHz: 1 for a waveform and itself."""
    size, bins = 1 << 17, 7 << 13
    # Under a window, as the phases of a cut tone's leakage are those of the cut.
    spectra = [np.fft.rfft(samples * np.hanning(samples.size), size)[:bins] for samples in (one, other)]
    cross = spectra[0] * np.conj(spectra[1])
    return float(np.abs(np.fft.irfft(cross / (np.abs(cross) + 1e-12), size)).max()) * size / 2 / bins


def nothing_is_read_that_was_not_written(method: Method[Any]) -> None:
    """Uninitialised memory may hold samples of other recordings, or no number at all."""
    audio, voice = Audio(speech(seconds=1.3), RATE), method.draw(np.random.default_rng(12))
    expected, empty = method.apply(audio, voice, np.random.default_rng(0)), np.empty

    def poisoned(*args: Any, **kwargs: Any) -> npt.NDArray[Any]:
        array = empty(*args, **kwargs)
        if array.dtype.char in "fFdD":
            word, signal = (np.uint32, 0x7FA0_0000) if array.dtype.char in "fF" else (np.uint64, 0x7FF4 << 48)
            array.reshape(-1).view(word)[:] = signal  # a signalling NaN
        return array

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "empty", poisoned)
        assert method.apply(audio, voice, np.random.default_rng(0)) == expected


def input_is_left_alone(method: Method[Any]) -> None:
    samples = speech(seconds=0.5)
    before = samples.copy()
    method(samples, RATE)
    assert np.array_equal(samples, before)


def travels(method: Method[Any]) -> None:
    voice, audio = method.draw(np.random.default_rng(8)), Audio(speech(seconds=0.5), RATE)
    there = pickle.loads(pickle.dumps((method, voice)))
    assert there[0] == method
    assert there[0].apply(audio, there[1], np.random.default_rng(0)) == method.apply(
        audio, voice, np.random.default_rng(0)
    )


def voice_is_secret(method: Method[Any]) -> None:
    voice = method.draw(np.random.default_rng(9))
    assert not re.search(r"\d", repr(voice)), "a drawn number shows"


def cannot_be_changed(method: Method[Any]) -> None:
    voice = method.draw(np.random.default_rng(10))
    for value in (method, voice):
        name = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 1.0)


def is_a_plain_callable(method: Method[Any]) -> None:
    at_48_khz = np.repeat(speech(seconds=0.5), 3)
    out = method(at_48_khz, 48_000)
    assert (out.dtype, out.ndim) == (np.float32, 1)
    assert len(out) == len(at_48_khz)
    assert method(np.stack((at_48_khz, at_48_khz)), 48_000).shape == (2, len(at_48_khz))


def a_call_keeps_the_length(method: Method[Any]) -> None:
    said = speech(MAN, 1.0, seed=2)
    samples = np.concatenate((said, np.zeros(2 * RATE), said))
    assert method(samples, RATE).shape == samples.shape
    for rate, length in ((8_000, 12_345), (44_100, 30_001), (RATE, 1), (RATE, 0)):
        assert method(samples[:length], rate).shape == (length,)


def a_call_follows_its_generator(method: Method[Any]) -> None:
    samples = np.stack((speech(seconds=0.5), speech(WOMAN, 0.5)))
    first = method(samples, RATE, rng=1)
    assert np.array_equal(method(samples, RATE, rng=1), first)
    assert np.array_equal(method(samples, RATE, rng=np.random.default_rng(1)), first)
    for other in (method(samples, RATE, rng=2), method(samples, RATE)):
        assert not np.array_equal(other, first)
    for wrong in (-1, True, "1", np.random.RandomState(1)):
        with pytest.raises(SettingError, match="seed from 0"):
            method(samples, RATE, rng=wrong)  # type: ignore[arg-type]


def what_keeps_time_keeps_it(method: Method[Any]) -> None:
    """Long pauses stay where they are, whatever is drawn."""
    keeping = method.keeping_time()
    if not keeping.keeps_time:
        return
    said = speech(WOMAN, 0.8, seed=3)
    samples = np.concatenate((said, np.zeros(RATE), said, np.zeros(2 * RATE), said))
    for seed in range(2):
        voice = keeping.draw(np.random.default_rng(seed))
        out = keeping.apply(Audio(samples, RATE), voice, np.random.default_rng(0)).mono
        assert out.size == samples.size
        onsets = [
            int(np.argmax(np.abs(out[at:]) > 0.02)) + at for at in (0, 18 * RATE // 10, 46 * RATE // 10)
        ]
        gaps = np.diff(onsets) / RATE
        assert gaps == pytest.approx((1.8, 2.8), abs=0.05)


def refuses_other_rates_and_several_channels(method: Method[Any]) -> None:
    voice = method.draw(np.random.default_rng(11))
    with pytest.raises(SettingError):
        method.apply(Audio(np.zeros(800), 8_000), voice, np.random.default_rng(0))
    with pytest.raises(RecordingError):
        method.apply(Audio(np.zeros((2, 800)), RATE), voice, np.random.default_rng(0))


CONTRACTS: list[Contract] = [
    survives_anything,
    silence_stays_silent,
    speech_stays_audible,
    speech_is_changed,
    voices_differ,
    the_voice_decides_alone,
    the_generator_decides_alone,
    a_kept_voice_keeps_no_noise,
    nothing_is_read_that_was_not_written,
    input_is_left_alone,
    travels,
    voice_is_secret,
    cannot_be_changed,
    is_a_plain_callable,
    a_call_keeps_the_length,
    a_call_follows_its_generator,
    what_keeps_time_keeps_it,
    refuses_other_rates_and_several_channels,
]


ExporterContract = Callable[[Exporter, list[Item], Path], None]


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _unpacked(name: str, data: bytes) -> bytes:
    if name.endswith(".parquet"):
        import pyarrow.parquet

        return repr(pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()).encode()
    return gzip.decompress(data) if name.endswith(".gz") else data


def writes_every_snippet(write: Exporter, items: list[Item], place: Path) -> None:
    assert write(items, place / "out") == len(items)
    files = _files(place / "out")
    everything = b"".join(name.encode() + _unpacked(name, data) for name, data in files.items())
    for item in items:
        assert item.id.encode() in everything
        assert str(item.text).split()[0].encode() in everything
    assert write([], place / "none") == 0


def writes_the_same_files_again(write: Exporter, items: list[Item], place: Path) -> None:
    folders = [place / name / "out" for name in ("one", "two")]
    with pytest.MonkeyPatch.context() as patch:
        for folder, found in zip(folders, (items, items[::-1]), strict=True):
            folder.parent.mkdir()
            patch.chdir(folder.parent)
            write(iter(found), Path("out"))
    assert _files(folders[0]) == _files(folders[1])


def writes_neutral_times_and_modes(write: Exporter, items: list[Item], place: Path) -> None:
    umask = os.umask(0o277)
    try:
        write(items, place / "out")
    finally:
        os.umask(umask)
    found = [path.stat() for path in (place / "out").rglob("*") if path.is_file()]
    assert {(stat.st_mtime, stat.st_mode & 0o777) for stat in found} == {(0, 0o600)}
    folders = [place / "out", *(path for path in (place / "out").rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def takes_a_new_folder_only(write: Exporter, items: list[Item], place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "mine").write_text("kept")
    with pytest.raises(StoreError, match="new or empty"):
        write(items, place / "out")
    assert _files(place) == {"out/mine": b"kept"}


def passes_no_changed_snippet_on(write: Exporter, items: list[Item], place: Path) -> None:
    with pytest.raises(StoreError, match="audit"):
        write([*items[:-1], dataclasses.replace(items[-1], sha256="0" * 64)], place / "out")
    assert not list(place.iterdir())


def takes_snippets_with_sound_alone(write: Exporter, items: list[Item], place: Path) -> None:
    bare = [dataclasses.replace(item, text=None, speaker=None, words=(), labels={}) for item in items]
    assert write(bare, place / "out") == len(items)
    assert all(b"None" not in data and b"null" not in data for data in _files(place / "out").values())


def writes_inside_its_folder_only(write: Exporter, items: list[Item], place: Path) -> None:
    names = ("../../victim", ".hidden", "/root", "a/b", "x" * 300, "müller:1")
    odd = [
        dataclasses.replace(item, id=name, speaker=name) for item, name in zip(items * 2, names, strict=False)
    ]
    (place / "in").mkdir()
    assert write(odd, place / "in" / "out") == len(odd)
    assert [path.name for path in place.iterdir()] == ["in"]
    assert [path.name for path in (place / "in").iterdir()] == ["out"]
    for path in (place / "in" / "out").rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", path.name)
        if path.suffix == ".tar":
            with tarfile.open(path) as archive:
                assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", n) for n in archive.getnames())


EXPORTER_CONTRACTS: list[ExporterContract] = [
    writes_inside_its_folder_only,
    writes_every_snippet,
    writes_the_same_files_again,
    writes_neutral_times_and_modes,
    takes_a_new_folder_only,
    passes_no_changed_snippet_on,
    takes_snippets_with_sound_alone,
]


# Containers


def is_recognised(container: Container, content: bytes) -> None:
    tag = b"ID3\3\0\0\0\0\0\x0a" + bytes(10)
    assert recognise(Memory(content), 0, len(content)) is container
    assert recognise(Memory(tag + content), len(tag), len(tag) + len(content)) is container
    others = [other for other in CONTAINERS.values() if other.signatures and other is not container]
    assert not any(other.recognises(Memory(content), 0, len(content)) for other in others)


def is_named(container: Container, content: bytes) -> None:
    suffixes = container.suffixes.split()
    assert suffixes
    assert all(suffix == suffix.lower() and suffix.isalnum() for suffix in suffixes)
    assert container.title
    for other in CONTAINERS.values():
        assert other is container or not set(suffixes) & set(other.suffixes.split())


def is_read_whole(container: Container, content: bytes) -> None:
    coder_delay = 0.15  # seconds; AAC's, at most
    for given in (content, b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + content):
        with decode(io.BytesIO(given), strict=True) as decoding:
            seconds = sum(block.shape[1] for block in decoding) / RATE
        assert seconds == pytest.approx(SECONDS, abs=coder_delay)
        assert (decoding.container, decoding.partial) == (container.name, None)


def is_refused_when_cut(container: Container, content: bytes) -> None:
    for share in (0.2, 0.4):
        cut = io.BytesIO(content[: int(share * len(content))])
        with pytest.raises(RecordingError) as caught, decode(cut, strict=True) as decoding:
            list(decoding)
        assert caught.value.code in ("truncated", "damaged", "undecodable")


def is_read_on_or_partial_where_another_is_glued(container: Container, content: bytes) -> None:
    try:
        with decode(io.BytesIO(content + content)) as decoding:
            seconds = sum(block.shape[1] for block in decoding) / RATE
    except RecordingError:
        return
    assert decoding.partial or seconds == pytest.approx(2 * SECONDS, abs=0.3)


def is_scanned(container: Container, content: bytes) -> None:
    word = b"Canary in a tag"
    planted = content + b"TAG" + word.ljust(125, b"\0")
    found = [finding.kind for finding in scan(content)]
    assert ("container" in found) == (not container.scanner)
    assert any(word in finding.value for finding in scan(planted))


CONTAINER_CONTRACTS: list[Callable[[Container, bytes], None]] = [
    is_recognised,
    is_named,
    is_read_whole,
    is_refused_when_cut,
    is_read_on_or_partial_where_another_is_glued,
    is_scanned,
]


def _evidence(offset: float, seed: int = 0) -> Evidence:
    """Two sides of sixteen speakers with four utterances each; a disguise that shifts every copy by its own amount."""
    rng = np.random.default_rng(seed)
    voices = 1.5 * rng.normal(size=(32, 1, 1, 12))
    plain = (voices + 0.5 * rng.normal(size=(32, 4, 1, 12))).reshape(128, 1, 12)

    def copies(rows: slice, count: int) -> Samples:
        shift = offset * rng.uniform(0.0, 2.0, (len(plain[rows]), count, 1))
        return plain[rows] + shift + 0.2 * rng.normal(size=(len(plain[rows]), count, 12))

    silence = InMemory(Audio(np.zeros(RATE), RATE))
    utterances = [Utterance(str(k), f"s{k // 4:02}", silence, "FM"[k // 4 % 2]) for k in range(128)]
    train, tests = slice(0, 64), slice(64, 128)
    return Evidence(
        copies(train, 3), plain[train], copies(tests, 2), copies(tests, 2), plain[tests],
        Trials.of(utterances[train]), Trials.of(utterances[tests]),
    )  # fmt: skip


def _rate(attacker: Attacker, evidence: Evidence, comparable: bool) -> float:
    scores, trials = attacker.attack(evidence, comparable).scores, evidence.trials
    return metrics.eer(scores[:, trials.target], scores[:, trials.nontarget])


def recognises_undisguised_voices(attacker: Attacker) -> None:
    for comparable in (False, True):
        assert _rate(attacker, _evidence(0.0), comparable) < 0.1


def learns_nothing_from_noise(attacker: Attacker) -> None:
    evidence, rng = _evidence(0.0), np.random.default_rng(2)
    noise = {
        name: rng.normal(size=getattr(evidence, name).shape) for name in ("trial", "enrol", "enrol_original")
    }
    for comparable in (False, True):
        assert _rate(attacker, dataclasses.replace(evidence, **noise), comparable) > 0.35


def scores_every_trial(attacker: Attacker) -> None:
    evidence = _evidence(1.0)
    found, other = (one.attack(evidence, comparable=False) for one in (attacker, SemiInformed()))
    assert found.scores.shape == (evidence.runs, *evidence.trials.target.shape)
    assert np.isfinite(found.scores).all()
    for name in ("held_target", "held_nontarget"):
        assert getattr(found, name).shape == getattr(other, name).shape, (
            "a fusion needs the same held-out trials"
        )
        assert np.isfinite(getattr(found, name)).all()
    assert 0.0 <= found.held_area <= 1.0
    np.testing.assert_allclose(found.again(evidence.trials), found.scores)
    assert found.again(evidence.trials.grown(1)).shape == found.scores.shape


def can_be_fused(attacker: Attacker) -> None:
    evidence = _evidence(1.0)
    attacks = {f"{k}/x": one.attack(evidence, False) for k, one in enumerate((attacker, SemiInformed()))}
    assert np.isfinite(fuse(attacks).scores).all()


def is_repeatable_and_travels(attacker: Attacker) -> None:
    evidence = _evidence(1.0)
    before = {name: getattr(evidence, name).copy() for name in ("train", "trial", "enrol")}
    first = attacker.attack(evidence, comparable=False)
    again = pickle.loads(pickle.dumps(attacker)).attack(evidence, comparable=False)
    np.testing.assert_array_equal(first.scores, again.scores)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(evidence, name), array)


def declares_its_traits(attacker: Attacker) -> None:
    assert attacker.summary
    assert attacker.fused in ("all", "encoders", "none")
    assert isinstance(attacker.undoes, bool)
    assert attacker.improves_on in ("", *ATTACKERS)


ATTACKER_CONTRACTS: list[Callable[[Attacker], None]] = [
    recognises_undisguised_voices,
    learns_nothing_from_noise,
    scores_every_trial,
    can_be_fused,
    is_repeatable_and_travels,
    declares_its_traits,
]
