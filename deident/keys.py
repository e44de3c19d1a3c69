"""Keys, and all randomness that protects anyone.

Randomness says what it is for: `key.rng("voice", recording, index)`. Streams for different purposes
are independent, so that what one purpose shows (the dither in a released file) tells nothing about
another (the voice that was drawn)."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import stat
from functools import cache
from typing import TYPE_CHECKING, Any

from deident.errors import KeyMaterialError, kind_of

if TYPE_CHECKING:
    import numpy as np

KEY_BYTES = 32
_VERSION = b"deident/1"


class Key:
    """256 secret bits from which pseudonyms and repeatable randomness follow (HMAC-SHA-256, FIPS 198-1).

    `Key.fresh()` takes them from the operating system; `Key.read(path)` from a file that `deident keygen`
    made. Its repr shows nothing. Raises `KeyMaterialError` for any other number of bytes."""

    __slots__ = ("_bytes",)

    def __init__(self, material: bytes) -> None:
        if not isinstance(material, bytes) or len(material) != KEY_BYTES:
            raise KeyMaterialError(f"a key is {KEY_BYTES} bytes; make one with `deident keygen`")
        self._bytes = material

    @classmethod
    def fresh(cls) -> Key:
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def from_hex(cls, text: str) -> Key:
        try:
            return cls(bytes.fromhex(text.strip()))
        except ValueError:
            raise KeyMaterialError(
                f"a key is written as {2 * KEY_BYTES} hexadecimal digits; make one with `deident keygen`"
            ) from None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Key:
        """The key in a file that only its owner can read. Raises `KeyMaterialError` otherwise."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise KeyMaterialError(f"the key file cannot be read: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise KeyMaterialError("the key file is not a regular file")
            if os.name == "posix" and info.st_mode & 0o077:
                raise KeyMaterialError("the key file is readable by others: chmod 600 it, or make a new key")
            text = file.read(4 * KEY_BYTES + 1)
        return cls.from_hex(text.decode("ascii", "replace"))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a new file, mode 0600. Raises `KeyMaterialError` when the file exists."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise KeyMaterialError(
                "there is a file at that place, perhaps a key in use: choose another"
            ) from None
        except OSError as error:
            raise KeyMaterialError(f"the key file cannot be made: {error.strerror}") from None
        try:
            with open(descriptor, "wb") as file:
                file.write(self._bytes.hex().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise KeyMaterialError(f"the key file cannot be written: {error.strerror}") from None

    def derive(self, purpose: str, *parts: str | int | bytes) -> bytes:
        """32 bytes that depend on the key, the purpose and every part, and tell nothing about them."""
        mac = hmac.new(self._bytes, _VERSION, hashlib.sha256)
        for part in (purpose, *parts):
            raw = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            kind = b"b" if isinstance(part, bytes) else b"i" if isinstance(part, int) else b"s"
            mac.update(kind + len(raw).to_bytes(8, "big") + raw)  # length first: ("ab","c") is not ("a","bc")
        return mac.digest()

    def subkey(self, purpose: str, *parts: str | int | bytes) -> Key:
        return Key(self.derive("subkey", purpose, *parts))

    def pseudonym(self, purpose: str, *parts: str | int | bytes) -> str:
        """32 hexadecimal digits (128 bits) that stand for something without telling what."""
        return self.derive("pseudonym", purpose, *parts)[:16].hex()

    def rng(self, purpose: str, *parts: str | int | bytes) -> np.random.Generator:
        """A generator for one purpose; the same key, purpose and parts give the same stream."""
        return stream(self.derive("rng", purpose, *parts))

    def fingerprint(self) -> str:
        """Tells two keys apart without telling anything of either."""
        return self.pseudonym("fingerprint")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self._bytes, other._bytes)

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def __repr__(self) -> str:
        return "Key(hidden)"

    def __reduce__(self) -> tuple[type, tuple[bytes]]:
        return Key, (self._bytes,)


def check_key(key: object) -> None:
    """Raise `KeyMaterialError` unless this is a key, or None."""
    if key is not None and not isinstance(key, Key):
        raise KeyMaterialError(f"expected a deident.Key, such as Key.read(path); got {kind_of(key)}")


def fresh_rng() -> np.random.Generator:
    """A generator seeded with 256 bits from the operating system."""
    return stream(os.urandom(KEY_BYTES))


def fresh_name() -> str:
    """32 random hexadecimal digits (128 bits)."""
    return os.urandom(16).hex()


def stream(seed: bytes) -> np.random.Generator:
    """The generator whose state these 32 bytes are, PCG64 DXSM (O'Neill, 2014): all bits but one count.

    They must be as good as random: numpy's own seeding, which mixes any, costs four times as much."""
    import numpy as np

    return np.random.Generator(np.random.PCG64DXSM(_bits()(seed)))


@cache
def _bits() -> Any:
    """The class of a seed sequence that hands on its bytes as they are. Made late, so that keys need no numpy."""
    import numpy as np
    from numpy.random.bit_generator import ISeedSequence

    class Bits(ISeedSequence):
        def __init__(self, seed: bytes) -> None:
            self._words = np.frombuffer(seed, dtype="<u8")

        def generate_state(self, n_words: int, dtype: Any = np.uint64) -> Any:
            if n_words != len(self._words) or np.dtype(dtype) != np.uint64:
                raise ValueError(f"expected {8 * n_words} bytes; got {8 * len(self._words)}")
            return self._words.astype(np.uint64)

    return Bits
