"""Keys, and the randomness that protects speakers.

Every random stream is named by its purpose: `key.rng("voice", recording, index)`. Streams of different purposes
are independent: the dither in a released file reveals nothing about the voice that was drawn.
"""

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


def read_key_file(path: str | os.PathLike[str], most: int, *, private: bool = True) -> bytes:
    """Read the first bytes of a key file. Raises `KeyMaterialError` for what is no file, or is readable by others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyMaterialError(f"the key file cannot be read: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise KeyMaterialError("the key file is not a regular file")
        if private and os.name == "posix" and info.st_mode & 0o077:
            raise KeyMaterialError("the key file is readable by others: chmod 600 it, or make a new key")
        return file.read(most)


class Key:
    """A secret of 256 bits from which pseudonyms and repeatable randomness are derived (HMAC-SHA-256).

    Make one with `Key.fresh` or read one with `Key.read`. Its repr is that of any object and shows no bit of it.

    Parameters
    ----------
    material : bytes
        32 bytes.

    Raises
    ------
    KeyMaterialError
        For any other type or number of bytes.

    References
    ----------
    NIST FIPS 198-1, The Keyed-Hash Message Authentication Code (2008).

    Examples
    --------
    >>> key = Key(bytes(32))
    >>> key.pseudonym("speaker", "Ada") == key.pseudonym("speaker", "Ada")
    True
    >>> key.pseudonym("speaker", "Ada") == Key.fresh().pseudonym("speaker", "Ada")
    False
    """

    __slots__ = ("_bytes",)

    def __init__(self, material: bytes) -> None:
        if not isinstance(material, bytes) or len(material) != KEY_BYTES:
            raise KeyMaterialError(f"a key is {KEY_BYTES} bytes; make one with `deident keygen`")
        self._bytes = material

    @classmethod
    def fresh(cls) -> Key:
        """Make a key from the operating system's random generator.

        Returns
        -------
        Key
        """
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def from_hex(cls, text: str) -> Key:
        """Read a key from its hexadecimal digits.

        Parameters
        ----------
        text : str
            64 hexadecimal digits; white space around them is ignored.

        Returns
        -------
        Key

        Raises
        ------
        KeyMaterialError
            For any other text.
        """
        try:
            return cls(bytes.fromhex(text.strip()))
        except ValueError:
            raise KeyMaterialError(
                f"a key is written as {2 * KEY_BYTES} hexadecimal digits; make one with `deident keygen`"
            ) from None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Key:
        """Read a key from a file that `deident keygen` or `Key.write` made.

        Parameters
        ----------
        path : path-like
            A regular file that only its owner can read.

        Returns
        -------
        Key

        Raises
        ------
        KeyMaterialError
            When the file cannot be read, is readable by others, or holds no key.
        """
        text = read_key_file(path, 4 * KEY_BYTES + 1)
        return cls.from_hex(text.decode("ascii", "replace"))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the key to a new file with mode 0600.

        Parameters
        ----------
        path : path-like
            A file that does not exist yet.

        Raises
        ------
        KeyMaterialError
            When the file exists or cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise KeyMaterialError("that file exists, and may be a key in use: choose another name") from None
        except OSError as error:
            raise KeyMaterialError(f"the key file cannot be made: {error.strerror}") from None
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)  # whatever the umask is
                file.write(self.to_text())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise KeyMaterialError(f"the key file cannot be written: {error.strerror}") from None

    def to_text(self) -> bytes:
        """Write the key as its file holds it.

        Returns
        -------
        bytes
            A line of 64 hexadecimal digits.
        """
        return self._bytes.hex().encode() + b"\n"

    def derive(self, purpose: str, *parts: str | int | bytes) -> bytes:
        """Derive 32 bytes from the key, a purpose and parts; they reveal nothing about any of these.

        Parameters
        ----------
        purpose : str
            A word for the use of the bytes; other purposes give independent bytes.
        *parts : str, int or bytes
            Values that the bytes depend on. Types count: 1 and "1" give different bytes.

        Returns
        -------
        bytes
            32 bytes.
        """
        mac = hmac.new(self._bytes, _VERSION, hashlib.sha256)
        for part in (purpose, *parts):
            raw = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            kind = b"b" if isinstance(part, bytes) else b"i" if isinstance(part, int) else b"s"
            mac.update(kind + len(raw).to_bytes(8, "big") + raw)  # length first: ("ab","c") is not ("a","bc")
        return mac.digest()

    def subkey(self, purpose: str, *parts: str | int | bytes) -> Key:
        """Derive another key.

        Parameters
        ----------
        purpose : str
            As in `derive`.
        *parts : str, int or bytes
            As in `derive`.

        Returns
        -------
        Key
        """
        return Key(self.derive("subkey", purpose, *parts))

    def pseudonym(self, purpose: str, *parts: str | int | bytes) -> str:
        """Derive a pseudonym.

        Parameters
        ----------
        purpose : str
            As in `derive`.
        *parts : str, int or bytes
            As in `derive`.

        Returns
        -------
        str
            32 hexadecimal digits (128 bits).
        """
        return self.derive("pseudonym", purpose, *parts)[:16].hex()

    def rng(self, purpose: str, *parts: str | int | bytes) -> np.random.Generator:
        """Make a random generator; the same key, purpose and parts give the same stream.

        Parameters
        ----------
        purpose : str
            As in `derive`.
        *parts : str, int or bytes
            As in `derive`.

        Returns
        -------
        numpy.random.Generator
        """
        return stream(self.derive("rng", purpose, *parts))

    def fingerprint(self) -> str:
        """Derive a word that tells two keys apart and reveals nothing of either.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
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
    """Raise `KeyMaterialError` unless a value is a key or None."""
    if key is not None and not isinstance(key, Key):
        raise KeyMaterialError(f"expected a deident.Key, such as Key.read(path); got {kind_of(key)}")


def fresh_rng() -> np.random.Generator:
    """Make a random generator from 256 bits of the operating system."""
    return stream(os.urandom(KEY_BYTES))


def fresh_name() -> str:
    """Draw 32 random hexadecimal digits (128 bits)."""
    return os.urandom(16).hex()


def stream(seed: bytes) -> np.random.Generator:
    """Make a PCG64 DXSM generator (O'Neill, 2014) with 32 bytes as its state; one of their 256 bits is ignored.

    The bytes must be as good as random. numpy's own seeding accepts any, and costs four times as much.
    """
    import numpy as np

    return np.random.Generator(np.random.PCG64DXSM(_bits()(seed)))


@cache
def _bits() -> Any:
    """Return a seed sequence class that passes its bytes on unchanged. Made late, so that keys need no numpy."""
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
