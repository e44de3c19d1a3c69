"""Recordings in, clean bytes out.

    with decode("call.wav", channels="split") as decoding:
        for block in decoding:  # (channels, n) float32 at 16 kHz
            ...
    encode_wav(pcm)

| module | holds |
|---|---|
| `decoding` | `decode`, `Decoding`, `read`: what callers use |
| `sources` | from a path, an open file or a stream to a descriptor |
| `containers` | the allow-list of magic bytes |
| `guard`, `confine`, `limits` | the child processes, what they give up, and their bounds |
| `worker` | the decoding itself, in the child |
| `readers`, `avreader` | one reader an engine |
| `layout`, `pcm`, `flac`, `mp3`, `ogg` | where the sound of a container is, and where it really ends |
| `mixing` | channels mixed, split or picked, any rate to 16 kHz |
| `problems` | every code of a refused or partial recording |
| `write` | canonical WAV and FLAC |"""

from deident.codec.decoding import Decoding, decode, read
from deident.codec.limits import Limits
from deident.codec.write import ENCODERS, encode_flac, encode_wav

__all__ = ["ENCODERS", "Decoding", "Limits", "decode", "encode_flac", "encode_wav", "read"]
