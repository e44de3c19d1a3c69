"""Canonical WAV and FLAC, with nothing in them besides sound.

Both are functions of the samples alone: no time, no vendor, no serial number, no comment. libsndfile would
put the time into a float WAV, a vendor string into FLAC and random serials into Ogg.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np

from deident.audio import RATE, Pcm
from deident.containers import flac
from deident.containers.source import Memory
from deident.errors import SettingError

_MAX_SAMPLES = (2**32 - 1 - 36) // 2  # beyond it the sizes in a RIFF header wrap
_LAST_BLOCK = 0x80


def encode_wav(pcm: Pcm) -> bytes:
    """Write samples as WAV: 44 header bytes (`RIFF`, `fmt ` of 16, `data`), PCM of 16 bits, 16 kHz, mono.

    Parameters
    ----------
    pcm : (samples,) int16

    Returns
    -------
    bytes

    Raises
    ------
    SettingError
        For samples of another shape or type, none, or more than a WAV can hold.

    References
    ----------
    Multimedia Programming Interface and Data Specifications 1.0 (1991).

    Examples
    --------
    >>> import numpy as np
    >>> len(encode_wav(np.zeros(100, dtype=np.int16)))
    244
    """
    samples = _checked(pcm)
    size = 2 * len(samples)
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + size, b"WAVE",
        b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16,
        b"data", size,
    )  # fmt: skip
    return header + samples.astype("<i2", copy=False).tobytes()


def encode_flac(pcm: Pcm) -> bytes:
    """Write samples as FLAC: `fLaC`, one STREAMINFO that is marked the last block, and frames.

    Parameters
    ----------
    pcm : (samples,) int16

    Returns
    -------
    bytes

    Raises
    ------
    SettingError
        For samples of another shape or type, or none.

    References
    ----------
    RFC 9639.
    """
    import soundfile

    samples = _checked(pcm)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="FLAC", subtype="PCM_16")
    whole = buffer.getvalue()
    info, *others = flac.metadata_blocks(Memory(whole), len(flac.MARK), len(whole))
    last = [info, *others][-1]
    head = flac.MARK + bytes([_LAST_BLOCK]) + flac.INFO_BYTES.to_bytes(3, "big")
    return head + whole[info.body : info.stop] + whole[last.stop :]


ENCODERS: dict[str, Callable[[Pcm], bytes]] = {"wav": encode_wav, "flac": encode_flac}


def _checked(pcm: Pcm) -> Pcm:
    """Refuse samples that are no (samples,) int16, or too many."""
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise SettingError(f"expected samples of shape (samples,) int16; got {pcm.ndim} axes of {pcm.dtype}")
    if not 0 < len(pcm) <= _MAX_SAMPLES:
        raise SettingError(f"expected 1 to {_MAX_SAMPLES} samples; got {len(pcm)}")
    return pcm
