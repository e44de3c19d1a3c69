"""A scan finds what is there, and does not trust a size, print a value or run for ever."""

import io
import json
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deident.containers import CONTAINERS
from deident.containers.finding import MOST_FINDINGS, VALUE_BYTES
from deident.errors import RecordingError
from deident.scanners import Finding, scan
from tests import dirty_parts as parts
from tests.dirty import Dirty, dirty_files, forms, voice
from tests.dirty_parts import RATE

FILES = dirty_files()
SMALL = dirty_files(voice(0.1))
MAGIC = [marks[0][1] for each in CONTAINERS.values() for marks in each.signatures]
SECONDS = 20.0  # far above what a scan may take, far below for ever


def covered(findings: list[Finding], start: int, stop: int) -> list[Finding]:
    return [f for f in findings if f.where <= start and stop <= f.where + f.size]


def test_there_are_many_kinds() -> None:
    assert len({file.kind for file in FILES}) == len(FILES) >= 60
    assert len({word for file in FILES for word in file.canaries}) == len(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.kind)
def test_every_planted_word_is_found_where_it_is(file: Dirty) -> None:
    findings = scan(file.data)
    for word in file.canaries:
        places = [(file.data.find(form), len(form)) for form in forms(word) if form in file.data]
        assert places
        for start, size in places:
            found = covered(findings, start, start + size)
            assert found
            # Taken apart, not passed by as a container that nobody knows.
            assert not {"container", "unscanned"} & {f.kind for f in found}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.kind)
def test_soundfile_reads_what_is_said_to_be_decodable(file: Dirty) -> None:
    import soundfile

    try:
        samples, _ = soundfile.read(io.BytesIO(file.data))
    except soundfile.LibsndfileError:
        samples = ()
    assert file.decodable == (len(samples) > 0)


def texts(value: object) -> Iterator[str]:
    """Every text in what a tag reader returns, however nested."""
    if isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*texts(key), *texts(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
    elif type(value).__module__.startswith("mutagen") and not isinstance(value, int):
        yield from texts(list(vars(value).values()))


def assert_found(file: Dirty, values: Iterable[str]) -> int:
    """Every value that stands in the file must lie in a finding. Returns how many do."""
    findings, count = scan(file.data), 0
    for part in {part for value in values for part in value.split("\0")}:
        if len(part) < 8:
            continue
        for form in (part.encode(), part.encode("utf-16-le"), part.encode("utf-16-be")):
            start = file.data.find(form)
            if start >= 0:
                assert covered(findings, start, start + len(form)), "a tag that others read is not found"
                count += 1
    return count


def test_what_mutagen_reads_is_found() -> None:
    mutagen = pytest.importorskip("mutagen")
    total = 0
    for file in FILES:
        try:
            tags = mutagen.File(io.BytesIO(file.data))
        except Exception:  # broken on purpose
            continue
        if tags is not None:
            values = [getattr(tags, "tags", None), getattr(tags, "pictures", None)]
            pairs = [list(value.items()) if hasattr(value, "items") else value for value in values]
            total += assert_found(file, texts(pairs))
    assert total > 20


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_what_exiftool_reads_is_found(tmp_path: Path) -> None:
    for number, file in enumerate(FILES):
        (tmp_path / f"{number}.{file.extension}").write_bytes(file.data)
    command = ["exiftool", "-json", "-a", "-u", "-U", "-ee", "-q", "-q", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, check=False).stdout
    own = ("SourceFile", "FileName", "Directory", "FileModifyDate", "FileAccessDate", "FileInodeChangeDate",
           "AudioCodecID")  # fmt: skip
    total = 0
    for entry in json.loads(answer):
        values = [str(value) for name, value in entry.items() if name not in own]
        total += assert_found(FILES[int(Path(entry["SourceFile"]).stem)], values)
    assert total > 20


def test_no_word_is_shown_in_anything_but_the_value() -> None:
    for file in FILES:
        shown = repr(scan(file.data)).encode()
        for word in file.canaries:
            assert not any(form in shown for form in forms(word))


@pytest.mark.parametrize(
    "data",
    [
        parts.wave(voice()),
        parts.wave(voice()[:-1]),
        parts.wave(voice(), order=b">"),
        parts.wave64(voice(), []),
        parts.long_wave(voice(), b"RF64", b""),
        parts.aiff(voice()),
        parts.caf(voice(), []),
        parts.au(voice()),
        parts.flac(voice(), []),
        parts.mp4(),
        parts.mp4(
            description=parts.sound_description(parts.setup()),
            tables=parts.sample_tables(64),
            sound_bytes=bytes(range(64)),
        ),
        parts.mp4() + parts.fragment(32) + parts.box(b"mdat", bytes(range(32))),
        parts.matroska(),
        parts.sound(voice(), "WAV", "MS_ADPCM"),
        parts.sound(voice(), "AIFF", "IMA_ADPCM"),
    ],
    ids=[
        "wav",
        "odd wav",
        "rifx",
        "w64",
        "rf64",
        "aiff",
        "caf",
        "au",
        "flac",
        "mp4",
        "mp4 with tables",
        "mp4 in fragments",
        "webm",
        "adpcm wav",
        "adpcm aiff",
    ],
)
def test_sound_alone_is_nothing_to_find(data: bytes) -> None:
    assert scan(data) == []


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_always_has_a_serial_number_and_an_encoder(subtype: str) -> None:
    kinds = [finding.kind for finding in scan(parts.sound(voice(), "OGG", subtype))]
    assert kinds[0] == "ogg.serial"
    assert any(kind.endswith(".vendor") for kind in kinds)


def test_what_is_found_is_named() -> None:
    kinds = {file.kind: {finding.kind for finding in scan(file.data)} for file in FILES}
    for file, kind in {
        "wav-info-iart": "riff.info", "wav-bext": "riff.bext", "wav-chunk-_pmx": "riff._pmx", "wav-peak": "riff.peak",
        "wav-adtl-label": "riff.adtl", "wav-smpl": "riff.smpl", "wav-chunk-xyz1": "riff.unknown",
        "wav-trailing": "riff.trailing", "wav-fmt": "riff.fmt", "wav-id3v2.4": "id3v2.txxx", "rf64": "riff.bext",
        "mp3-in-wav": "id3v2.tpe1", "w64": "w64.bext", "aiff-comt": "aiff.comt", "caf-info": "caf.info",
        "au-annotation": "au.annotation", "flac-picture": "flac.picture", "flac-cuesheet": "flac.cuesheet",
        "flac-application": "flac.application", "flac-trailing": "flac.trailing", "ogg-picture": "ogg.vorbis.comment",
        "ogg-gap": "ogg.gap", "ogg-opus-padding": "ogg.opus.padding", "ogg-flac-comment": "ogg.flac.comment",
        "mp3-id3v2.2": "id3v2.tp1", "mp3-id3v2.3-unsync": "id3v2.tpe1", "mp3-id3v1": "id3v1", "mp3-ape2": "ape.item",
        "mp3-lyrics1": "lyrics3", "mp3-lyrics2": "lyrics3v2.field", "mp3-gap": "mp3.gap", "mp4-ilst": "mp4.ilst",
        "mp3-id3v2.4-plain-size": "id3v2.tpe2", "mp3-ape-front": "ape.item",
        "webm-tags": "matroska.tags", "sphere": "sphere.header", "sphere-trailing": "sphere.trailing",
        "mp4-pinf": "mp4.pinf", "mp4-pinf-in-wave": "mp4.pinf", "mp4-description-tail": "mp4.stsd",
        "mp4-setup": "mp4.descriptor", "mp4-descriptor": "mp4.descriptor", "mp4-flac": "mp4.flac.comment",
        "mp4-table-tail": "mp4.stco", "mp4-unheard": "mp4.mdat", "mp4-unheard-fragment": "mp4.mdat",
        "mp4-brand": "mp4.brand", "webm-flac": "matroska.flac.comment", "webm-subtitle": "matroska.block",
        "webm-head": "matroska.void", "webm-number": "matroska.rest", "wav-behind-ms_adpcm": "riff.behind",
        "aiff-behind-ima_adpcm": "aiff.behind", "caf-behind": "caf.behind",
        "aiff-behind": "aiff.behind", "caf-chan": "caf.chan", "caf-chan-described": "caf.chan", "caf-pakt": "caf.pakt",
    }.items():  # fmt: skip
        assert kind in kinds[file]


def test_times_are_found() -> None:
    peak = parts.chunk(b"PEAK", struct.pack("<IIfI", 1, 1_600_000_000, 0.5, 3))
    assert [f.kind for f in scan(parts.wave(voice(), peak))] == ["riff.peak"]
    assert [f.kind for f in scan(parts.mp4(times=3_700_000_000))] == ["mp4.mvhd"]


def test_times_of_64_bits_are_found() -> None:
    times = struct.pack(">IQQ", 1 << 24, 0, 3_700_000_000)
    data = parts.box(b"ftyp", b"M4A \0\0\0\0") + parts.box(b"moov", parts.box(b"mvhd", times + bytes(92)))
    assert [f.kind for f in scan(data)] == ["mp4.mvhd"]


def test_a_language_is_found() -> None:
    german = struct.pack(">IIIIIHH", 0, 0, 0, RATE, 0, 0x10B5, 0)
    assert [f.kind for f in scan(parts.mp4(header=german))] == ["mp4.language"]


def test_comments_of_impossible_length_are_found() -> None:
    block = parts.comments("x", [b"A=b"])
    for broken in (block[:9] + b"\xff\xff\xff\x7f" + block[13:], block[:5] + b"\2" + block[6:] + b"Canary"):
        data = parts.flac(voice(), [(4, broken)])
        (found,) = [f for f in scan(data) if f.what == "comments that cannot be taken apart"]
        assert found.where + found.size == 42 + 4 + len(broken)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deident.scanners.reader.MOST_READS", 1000)
    data = parts.mp4() + parts.box(b"mdat", b"") * 2000
    assert [f.kind for f in scan(data)] == ["unscanned"]


def test_tables_that_are_too_large_to_be_read_whole_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (unheard,) = (file.data for file in FILES if file.kind == "mp4-unheard")
    assert "mp4.mdat" in {finding.kind for finding in scan(unheard)}
    with monkeypatch.context() as patch:
        patch.setattr("deident.scanners.mp4_sound._MOST_BYTES", 3)  # less than one entry
        assert "mp4.mdat" not in {finding.kind for finding in scan(unheard)}
    monkeypatch.setattr("deident.scanners.mp4_sound._MOST_RANGES", 0)
    assert "unscanned" in {finding.kind for finding in scan(unheard)}


def test_padding_that_is_not_zero_is_found() -> None:
    chunk = b"JUNK" + struct.pack("<I", 3) + bytes(3) + b"\x07"
    assert [f.kind for f in scan(parts.wave(voice(), chunk))] == ["riff.filler", "riff.padding"]


def test_a_value_is_bounded() -> None:
    data = parts.wave(voice(), parts.chunk(b"iXML", b"x" * 100_000))
    (finding,) = scan(data)
    assert finding.size == 100_008
    assert len(finding.value) == VALUE_BYTES


def test_a_long_file_of_nothing_but_chunks_ends() -> None:
    findings = scan(b"RIFF\xff\xff\xff\xffWAVE" + b"abcd\0\0\0\0" * 100_000)
    assert len(findings) == MOST_FINDINGS + 1
    assert "unscanned" in {finding.kind for finding in findings}


def test_a_file_of_four_gigabytes_is_not_read(tmp_path: Path) -> None:
    path, size = tmp_path / "long.wav", (1 << 32) - 100
    head = parts.wave(voice()[:0])[:40] + struct.pack("<I", size)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", size + 60) + head[8:])
        file.seek(44 + size)
        file.write(parts.chunk(b"iXML", b"<a/>"))
    began = time.process_time()
    assert [(f.kind, f.where) for f in scan(path)] == [("riff.ixml", 44 + size)]
    assert time.process_time() - began < SECONDS / 10


def test_what_is_no_recording_is_a_finding() -> None:
    assert scan(b"")[0].what == "an empty file"
    for data in (b"a", b"hello, this is a text", bytes(1000), b"RIFF", b"RIFF....AVI LIST", b"fLaC", b"OggS"):
        findings = scan(data)
        assert data[:4] in (b"fLaC", b"RIFF") or findings
        assert all(f.where + f.size <= len(data) for f in findings)


def test_paths_bytes_and_files_are_the_same(tmp_path: Path) -> None:
    file = FILES[0]
    path = tmp_path / "a"
    path.write_bytes(file.data)
    handle = io.BytesIO(file.data)
    handle.seek(7)
    assert scan(path) == scan(str(path)) == scan(file.data) == scan(handle) != []
    assert handle.tell() == 7


def test_only_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("secret-name")

    for source in (
        tmp_path / "secret-name",
        tmp_path,
        tmp_path / "pipe",
        Broken(b"RIFF"),
        "nul\0",
        io.StringIO("a"),
    ):
        with pytest.raises(RecordingError) as caught:
            scan(source)  # type: ignore[arg-type]
        assert "secret-name" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A copy with a few changes, most of them where structure is."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 4, 16, 64))):
        place = min(rng.randrange(len(out)), rng.choice((200, len(out))))
        other = rng.choice(SMALL).data
        start = rng.randrange(len(other))
        match rng.randrange(5):
            case 0:
                out[place : place + 1] = rng.randbytes(1)
            case 1:
                out[place : place + 4] = rng.choice(
                    (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1", b"OggS")
                )
            case 2:
                out[place:place] = other[start : start + rng.randrange(1, 600)]
            case 3:
                del out[place : place + rng.randrange(1, 50)]
            case 4:
                out = out[: max(1, place)] if rng.random() < 0.3 else out
        if not out:
            return b""
    return bytes(out)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 40))
def test_no_change_of_a_file_breaks_a_scan(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        data = mutated(rng.choice(SMALL).data, rng)
        began = time.process_time()
        findings = scan(data)
        assert time.process_time() - began < SECONDS
        assert all(f.where + f.size <= len(data) for f in findings)
        assert [f.where for f in findings] == sorted(f.where for f in findings)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([*MAGIC, b"\0\0\0\x10ftyp", b"ID3\3\0\0\0\0\0\1", b"\xff\xfb\x90\0"]),
    st.binary(max_size=300),
)
def test_no_bytes_break_a_scan(magic: bytes, rest: bytes) -> None:
    for data in (magic + rest, rest, rest + magic):
        assert all(f.where + f.size <= len(data) for f in scan(data))
