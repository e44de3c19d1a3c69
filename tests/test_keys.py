"""Keys: derived values, and secrecy."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deident.errors import KeyMaterialError
from deident.keys import Key, fresh_name, fresh_rng, stream

KEY = Key(bytes(range(32)))
PARTS = st.lists(st.one_of(st.text(), st.integers(), st.binary()), max_size=4)


@settings(max_examples=50, deadline=None)
@given(PARTS, PARTS)
def test_different_parts_give_different_bytes(one: list[object], other: list[object]) -> None:
    same = [(type(p), p) for p in one] == [(type(p), p) for p in other]
    assert (KEY.derive("x", *one) == KEY.derive("x", *other)) == same  # type: ignore[arg-type]


def test_purposes_give_independent_streams() -> None:
    assert KEY.derive("voice", "a") != KEY.derive("dither", "a")
    assert KEY.pseudonym("voice", "a") != KEY.derive("voice", "a")[:16].hex()
    voice, dither = KEY.rng("voice", 1).random(1_000), KEY.rng("dither", 1).random(1_000)
    assert abs(np.corrcoef(voice, dither)[0, 1]) < 0.15


def test_same_key_same_stream() -> None:
    assert KEY.rng("voice", b"r", 3).random() == Key(bytes(range(32))).rng("voice", b"r", 3).random()
    assert KEY.rng("voice", b"r", 3).random() != Key.fresh().rng("voice", b"r", 3).random()


def test_all_bits_of_a_seed_but_one_change_the_stream() -> None:
    """The generator's increment is odd, and drops the highest bit."""
    seed = bytes(range(100, 132))
    flipped = [(int.from_bytes(seed) ^ 1 << bit).to_bytes(32) for bit in range(256)]
    states = [stream(one).bit_generator.state["state"] for one in (seed, *flipped)]
    assert len({(state["state"], state["inc"]) for state in states}) == 256
    first = [stream(one).random(3).tolist() for one in (seed, *flipped)]
    assert len(set(map(tuple, first))) == 256


@pytest.mark.parametrize("size", [0, 16, 31, 40])
def test_a_seed_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=r"bytes|buffer"):
        stream(bytes(size))


def test_fresh_keys_names_and_streams_differ() -> None:
    assert fresh_rng().random() != fresh_rng().random()
    assert len({fresh_name() for _ in range(100)}) == 100
    assert Key.fresh() != Key.fresh()


def test_the_repr_of_a_key_shows_nothing() -> None:
    digits = bytes(range(32)).hex()
    assert digits[:8] not in repr(KEY)
    assert digits[:8] not in str([KEY])
    assert pickle.loads(pickle.dumps(KEY)) == KEY


def test_file_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "key"
    KEY.write(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert Key.read(file) == KEY
    with pytest.raises(KeyMaterialError):
        Key.fresh().write(file)
    assert Key.read(file) == KEY


@pytest.mark.parametrize("text", ["", "00", "g" * 64, "0" * 63, "0" * 66])
def test_bad_keys_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(KeyMaterialError):
        Key.from_hex(text)
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(KeyMaterialError) as caught:
        Key.read(file)
    assert str(tmp_path) not in str(caught.value)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    KEY.write(file)
    file.chmod(0o644)
    with pytest.raises(KeyMaterialError, match="chmod"):
        Key.read(file)
    with pytest.raises(KeyMaterialError):
        Key.read(tmp_path / "missing")
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeyMaterialError, match="regular"):
        Key.read(tmp_path / "fifo")


@pytest.mark.parametrize("umask", [0o000, 0o277, 0o777])
def test_a_key_file_is_for_its_owner_whatever_the_umask_is(umask: int, tmp_path: Path) -> None:
    old = os.umask(umask)
    try:
        Key.fresh().write(tmp_path / "key")
    finally:
        os.umask(old)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
