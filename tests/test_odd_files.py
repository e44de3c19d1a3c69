"""Files that break a rule of their format, as real programs write them: read, or said to lack something."""

import io
import re
import struct

import numpy as np
import pytest
import soundfile

from deident.codec import Limits, decode, read
from deident.codec.write import encode_wav
from deident.errors import RecordingError
from deident.scanners import scan
from tests import dirty_parts as parts
from tests.dirty import voice
from tests.dirty_parts import chunk, id3, page

ODD = b"odd"
TAG = id3(parts.frame(b"TPE1", b"\0somebody"))


def length_and_ending(data: bytes) -> tuple[int, str | None]:
    """(samples, ending) of a file."""
    with decode(io.BytesIO(data)) as decoding:
        return sum(block.shape[1] for block in decoding), decoding.partial


def unpadded(name: bytes, order: str) -> bytes:
    return name + struct.pack(f"{order}I", len(ODD)) + ODD


@pytest.mark.parametrize(
    "data",
    [
        parts.wave(voice(), unpadded(b"note", "<")),
        parts.wave(voice(), chunk(b"junk", b"any", pad=b"z")),
        parts.aiff(voice(), unpadded(b"NAME", ">") + chunk(b"AUTH", b"me", ">")),
        TAG + parts.wave(voice()),
        TAG + parts.aiff(voice()),
        TAG + TAG + parts.caf(voice(), []),
    ],
    ids=[
        "no padding",
        "padding that is not zero",
        "no padding in aiff",
        "tag, wav",
        "tag, aiff",
        "tags, caf",
    ],
)
def test_sound_is_found_behind_what_should_not_be_there(data: bytes) -> None:
    assert length_and_ending(data) == (voice().size, None)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_skeleton_beside_a_stream_is_no_loss(subtype: str) -> None:
    clean = parts.sound(voice(), "OGG", subtype)
    second = clean.index(b"OggS", 4)
    skeleton = page([b"fishead\0" + bytes(56)], 77, 0, 2), page([b"fisbone\0" + bytes(44)], 77, 1, 4)
    with_skeleton = skeleton[0] + clean[:second] + skeleton[1] + clean[second:]
    assert length_and_ending(with_skeleton) == length_and_ending(clean)
    assert length_and_ending(TAG + clean) == length_and_ending(clean)


def test_a_second_microphone_in_an_ogg_is_told() -> None:
    one, other = (parts.sound(samples, "OGG", "VORBIS") for samples in (voice(), voice()[::-1].copy()))
    a, b = one.index(b"OggS", 4), other.index(b"OggS", 4)
    assert one[14:18] != other[14:18]
    samples, ending = length_and_ending(one[:a] + other[:b] + one[a:] + other[b:])
    assert samples == length_and_ending(one)[0]
    assert ending == "extra-data"


@pytest.mark.parametrize("subtype", ["VORBIS", "FLAC"])
def test_tags_of_a_container_in_a_container_are_found(subtype: str) -> None:
    inner = (
        parts.sound(voice(), "OGG", "VORBIS")
        if subtype == "VORBIS"
        else parts.flac(voice(), [(4, parts.comments("x", [b"A=b"]))])
    )
    form = struct.pack("<HHIIHHH", 0x674F, 1, 16_000, 32_000, 2, 16, 0)
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", inner)
    found = {finding.kind for finding in scan(b"RIFF" + struct.pack("<I", len(body)) + body)}
    assert any(kind.endswith((".vendor", ".comment")) for kind in found)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x08ftyp" + b"\0\0\0\x08moov" * 300_000,
        b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x80" * 300_000,
    ],
    ids=["mp4", "matroska"],
)
def test_pieces_inside_pieces_are_bounded(data: bytes) -> None:
    assert [finding.kind for finding in scan(data)] == ["unscanned"]


def test_every_cut_of_a_small_file_is_one_state() -> None:
    from deident.errors import RecordingError

    whole = parts.wave(np.tile(voice()[:200], 2), chunk(b"LIST", b"INFO" + chunk(b"IART", b"a\0")))
    for stop in range(len(whole)):
        try:
            samples, _ = length_and_ending(whole[:stop])
        except RecordingError:
            continue
        assert samples <= 400
    assert length_and_ending(encode_wav(voice()))[0] == voice().size


def encoded(seconds: float, seed: int = 1, rate: int = 16_000, **kind: str) -> bytes:
    file = io.BytesIO()
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
    soundfile.write(file, samples, rate, **kind)
    return file.getvalue()


OGG, FLAC = {"format": "OGG", "subtype": "VORBIS"}, {"format": "FLAC"}


def pages(ogg: bytes) -> list[int]:
    return [match.start() for match in re.finditer(b"OggS", ogg)]


def test_a_page_that_is_missing_is_told() -> None:
    ogg = encoded(10.0, **OGG)
    at = pages(ogg)
    assert length_and_ending(ogg[: at[3]] + ogg[at[4] :])[1] == "damaged"


def test_the_missing_end_of_a_first_recording_is_told() -> None:
    """Also where another, which is whole, comes behind it."""
    ogg, flac = encoded(6.0, **OGG), encoded(3.0, **FLAC)
    assert length_and_ending(ogg[: pages(ogg)[-1]] + encoded(6.0, 2, **OGG))[1] == "truncated"
    assert length_and_ending(flac[: len(flac) // 2] + encoded(3.0, 2, **FLAC))[1] is not None


def test_the_end_of_each_of_several_is_kept_where_they_differ_in_rate() -> None:
    both = encoded(1.5, rate=8_000, **OGG) + encoded(1.5, 2, rate=22_050, **OGG)
    assert length_and_ending(both)[0] == pytest.approx(48_000, abs=8)


def test_sound_behind_an_offset_in_an_aiff_is_found() -> None:
    raw = encoded(1.0, format="AIFF", subtype="PCM_16")
    at = raw.index(b"SSND")
    size = int.from_bytes(raw[at + 4 : at + 8], "big") + 16
    moved = struct.pack(">4sII", b"SSND", size, 16) + raw[at + 12 : at + 16] + b"\x7f" * 16 + raw[at + 16 :]
    odd = raw[:4] + struct.pack(">I", len(raw) + 8) + raw[8:at] + moved
    assert read(io.BytesIO(odd)) == read(io.BytesIO(raw))


def test_strict_refuses_more_than_what_is_cut() -> None:
    wav = encode_wav((3_000 * np.random.default_rng(0).standard_normal(16_000)).astype(np.int16))
    with pytest.raises(RecordingError) as caught:
        list(decode(io.BytesIO(wav + wav), strict=True))
    assert caught.value.code == "extra-data"


def test_as_many_channels_as_the_limits_say() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((16_000, 2)), 16_000, format="WAV")
    for most, code in ((2, ""), (1, "channels")):
        file.seek(0)
        try:
            list(decode(file, limits=Limits(max_channels=most)))
            found = ""
        except RecordingError as error:
            found = error.code
        assert found == code


FIELDS = {  # (name of the chunk, bytes from there, their format), of the fields that describe plain samples
    "WAV": {name: (b"fmt ", at, form) for name, at, form in
            (("tag", 8, "<H"), ("channels", 10, "<H"), ("align", 20, "<H"), ("bits", 22, "<H"))},
    "AIFF": {name: (b"COMM", at, form) for name, at, form in
             (("channels", 8, ">H"), ("frames", 10, ">I"), ("bits", 14, ">H"))},
    "CAF": {name: (b"desc", at, ">I") for name, at in
            (("packet", 28), ("channels", 36), ("bits", 40))},
}  # fmt: skip


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
@pytest.mark.parametrize(
    ("container", "field"), [(name, field) for name, fields in FIELDS.items() for field in fields]
)
def test_one_wrong_field_is_read_as_libsndfile_does_or_not_at_all(
    container: str, field: str, subtype: str
) -> None:
    pytest.importorskip("av")  # which reads noise
    clean, (chunk_name, at, form) = io.BytesIO(), FIELDS[container][field]
    soundfile.write(clean, voice(), 16_000, format=container, subtype=subtype)
    read_on = 0
    for value in (0, 1, 2, 3, 4, 8, 16, 24, 32):
        data = bytearray(clean.getvalue())
        struct.pack_into(form, data, data.index(chunk_name) + at, value)
        try:
            samples, ending = length_and_ending(bytes(data))
        except RecordingError:
            continue
        if ending is None and samples != voice().size:
            right, rate = soundfile.read(io.BytesIO(data))
            assert samples == pytest.approx(len(right) * 16_000 / rate, abs=2), value
        elif ending is None:
            found = read(io.BytesIO(data)).mono
            assert abs(np.corrcoef(found, voice())[0, 1]) > 0.9, value
        read_on += 1
    assert read_on >= 1  # the right value is among them
