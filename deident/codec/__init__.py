"""Decode recordings, and encode snippets as clean bytes.

    with decode("call.wav", channels="split") as decoding:
        for block in decoding:  # (channels, n) float32 at 16 kHz
            ...
    encode_wav(pcm)

| module | holds |
|---|---|
| `decoding` | `decode`, `Decoding`, `read`: the functions that callers use |
| `arrays` | samples in memory, whole or in blocks as they come |
| `sources` | open a path, file or stream as a descriptor |
| `guard`, `confine`, `limits` | the child processes, the rights they give up, and their limits |
| `worker` | the decoding in the child process |
| `readers`, `avreader` | one reader per decoding library |
| `layout`, `pcm`, `flac`, `mp3`, `ogg`, `ends` | the position and the true end of the samples in a container |
| `mixing` | mix, split or pick channels, and resample to 16 kHz |
| `problems` | every code of a refused or partial recording |
| `write` | canonical WAV and FLAC |
"""

from deident.codec.arrays import Blocks
from deident.codec.decoding import Decoding, confinement, decode, read
from deident.codec.limits import Limits
from deident.codec.write import ENCODERS, encode_flac, encode_wav

__all__ = [
    "ENCODERS",
    "Blocks",
    "Decoding",
    "Limits",
    "confinement",
    "decode",
    "encode_flac",
    "encode_wav",
    "read",
]
