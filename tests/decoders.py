"""Small recordings for decoders, and what becomes of them."""

import io

import numpy as np
import pytest
import soundfile

from deident.codec import decode
from deident.errors import RecordingError


def recording(seconds=1.0, rate=16_000) -> bytes:
    samples = np.random.default_rng(3).normal(0, 3_000, int(seconds * rate)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def consume(source, **settings) -> int:
    with decode(source, **settings) as decoding:
        return sum(block.shape[1] for block in decoding)


def code_of(source, **settings) -> str:
    with pytest.raises(RecordingError) as caught:
        consume(source, **settings)
    return caught.value.code
