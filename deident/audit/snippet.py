"""The bytes of one snippet: exactly a canonical WAV or FLAC, or an error that says what is not."""

from __future__ import annotations

import struct

from deident.audit.promise import RATE, SAMPLE_BYTES, AuditError, Inspected

WAV_HEADER = 44  # bytes


def inspect(data: bytes, *, max_seconds: float) -> Inspected:
    """Prove that these bytes are sound, the few bytes every player needs, and nothing else.

    A WAV header follows from the number of samples and is compared byte for byte. The samples of a WAV can be
    anything: only a checksum, such as the manifest's, tells that one was changed. A FLAC carries its own.

    Parameters
    ----------
    data : bytes
        A whole snippet, as it will be released.
    max_seconds : float
        Durations must be strictly shorter.

    Returns
    -------
    Inspected

    Raises
    ------
    AuditError
        Says which promise is broken.
    """
    if data[:4] == b"RIFF":
        samples = wav_samples(data[:WAV_HEADER], len(data))
        found = Inspected("wav", samples, RATE)
    elif data[:4] == b"fLaC":
        from deident.audit.flac import flac_samples  # numpy and soundfile, which a WAV does not need

        found = Inspected("flac", flac_samples(data, max_seconds), RATE)
    else:
        raise AuditError("expected a WAV or FLAC marker at the start of a snippet; found neither")
    check_duration(found.samples, max_seconds)
    return found


def wav_samples(header: bytes, size: int) -> int:
    """The samples in a WAV of `size` bytes whose header is exactly the one those samples call for."""
    samples, half = divmod(size - WAV_HEADER, SAMPLE_BYTES)
    if samples < 1 or half:
        raise AuditError(f"expected a WAV of {WAV_HEADER} bytes and whole 16-bit samples; got {size} bytes")
    payload = samples * SAMPLE_BYTES
    if payload + 36 > 0xFFFFFFFF or header != canonical_header(payload):
        raise AuditError(
            f"the WAV header is not the one that PCM 16, mono, {RATE} Hz and its {samples} samples call for"
        )
    return samples


def canonical_header(payload: int) -> bytes:
    """The 44 bytes before `payload` bytes of sound. Microsoft & IBM (1991), with WAVE_FORMAT_PCM."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    return struct.pack("<4sI4s4sI16s4sI", b"RIFF", 36 + payload, b"WAVE", b"fmt ", 16, form, b"data", payload)


def check_duration(samples: int, max_seconds: float) -> None:
    if not 0 < samples < max_seconds * RATE:
        raise AuditError(f"a snippet must last less than {max_seconds:g} s; got {samples / RATE:.6f} s")
