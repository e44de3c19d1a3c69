"""Plain samples read straight from a file: no decoder, nothing to break.

Faster than through libsndfile, whose conversion to float32 costs more than all else in reading, and safe
from headers, since the layout says which bytes are samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from deident.codec.files import Bytes
from deident.codec.layout import Layout

Block = npt.NDArray[np.int16] | npt.NDArray[np.float32]
Raw = npt.NDArray[np.uint8]


def blocks(source: Bytes, layout: Layout, frames: int) -> Iterator[Block]:
    """Read (n, channels) int16 or float32 blocks of up to `frames` positions; a cut last one is left out."""
    width, decoder = DECODERS[layout.encoding]
    step = width * layout.channels
    at = layout.start
    while at + step <= layout.stop:
        raw = source.at(at, min(frames * step, (layout.stop - at) // step * step))
        whole = len(raw) // step * step
        if not whole:
            return
        yield decoder(np.frombuffer(raw, dtype=np.uint8, count=whole)).reshape(-1, layout.channels)
        at += whole


def _linear(kind: str) -> Callable[[Raw], Block]:
    """Return the decoder of linear PCM of a dtype: int16 as it is, all else as float32."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return lambda raw: _to_float32(raw.view(dtype))
    if dtype.itemsize == 2:
        return lambda raw: raw.view(dtype).astype(np.int16, copy=False)
    scale = np.float32(2.0**-31)
    return lambda raw: raw.view(dtype).astype(np.float32) * scale


def _to_float32(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # too large becomes infinite, and is judged later
        return samples.astype(np.float32, copy=False)


def _three_bytes(order: str) -> Callable[[Raw], Block]:
    """Put 24 bits into the upper three bytes of 32: the sign comes right by itself."""

    def decode(raw: Raw) -> Block:
        wide = np.zeros((len(raw) // 3, 4), dtype=np.uint8)
        wide[:, slice(1, 4) if order == "<" else slice(0, 3)] = raw.reshape(-1, 3)
        return wide.view(f"{order}i4").ravel().astype(np.float32) * np.float32(2.0**-31)

    return decode


def _unsigned(raw: Raw) -> Block:
    """Decode unsigned 8-bit samples."""
    return (raw.astype(np.int16) - np.int16(128)) * np.int16(256)


def _signed(raw: Raw) -> Block:
    """Decode signed 8-bit samples."""
    return raw.view(np.int8).astype(np.int16) * np.int16(256)


def _ulaw_table() -> npt.NDArray[np.int16]:
    """Tabulate mu-law (ITU-T G.711) at 16 bits."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _alaw_table() -> npt.NDArray[np.int16]:
    """Tabulate A-law (ITU-T G.711) at 16 bits."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    step = code >> 4 & 7
    size = np.where(
        step == 0, ((code & 0x0F) << 4) + 8, (((code & 0x0F) << 4) + 0x108) << np.maximum(step - 1, 0)
    )
    return np.where(code & 0x80, size, -size).astype(np.int16)


_ULAW, _ALAW = _ulaw_table(), _alaw_table()

# Encoding: bytes a sample, and how they become int16 or float32.
DECODERS: dict[str, tuple[int, Callable[[Raw], Block]]] = {
    "u1": (1, _unsigned),
    "i1": (1, _signed),
    "ulaw": (1, lambda raw: _ULAW[raw]),
    "alaw": (1, lambda raw: _ALAW[raw]),
    "<i3": (3, _three_bytes("<")),
    ">i3": (3, _three_bytes(">")),
    **{
        f"{order}{kind}": (int(kind[1]), _linear(f"{order}{kind}"))
        for order in "<>"
        for kind in ("i2", "i4", "f4", "f8")
    },
}
