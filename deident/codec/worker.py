"""Decoding, and the child process that does nothing else.

The child receives one descriptor at a time over a socket, and answers with a format, blocks of float32, and an end
or a refusal, all as numbers. It knows no path and has no environment."""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from deident.audio import RATE, Samples
from deident.codec import confine
from deident.codec.files import Bytes
from deident.codec.limits import Limits
from deident.codec.mixing import Channels, Shaper
from deident.codec.problems import CODES, RefusedError
from deident.codec.readers import check_sound, open_reader
from deident.codec.write import encode_flac, encode_wav

BLOCK_SAMPLES = 4 * RATE  # blocks are at least this long, the last one apart
HEADER = struct.Struct("<4sIIIQ")  # kind, three numbers, positions read
CANCEL = b"x"  # the only message to a child while it works
READY, OPENED, BLOCK, ENDED, REFUSED = b"redy", b"open", b"blok", b"ends", b"refu"
MAX_JOB_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Job:
    """A recording to decode. out_rate : Hz, 0 for the recording's own. start : byte of the file where it begins."""

    container: str
    engine: str
    channels: Channels = "mix"
    zero_nonfinite: bool = False
    max_frames: int = Limits.max_frames
    max_channels: int = Limits.max_channels
    min_rate: int = Limits.min_rate
    max_rate: int = Limits.max_rate
    max_expansion: int = Limits.max_expansion
    expansion_grace: int = Limits.expansion_grace
    memory_bytes: int = Limits.memory_bytes
    cpu_seconds: float = Limits.cpu_seconds
    out_rate: int = RATE
    start: int = 0

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Job:
        return cls(**json.loads(raw))


class Opened(NamedTuple):
    rate: int
    source_channels: int
    channels: int


class Ended(NamedTuple):
    microseconds: int
    ending: str | None


def work(source: Bytes, job: Job) -> Iterator[Opened | Samples | Ended]:
    """Decode a recording: yield Opened, then blocks (channels, n), then Ended. Raises `RefusedError`."""
    reader = open_reader(source, job.container, job.engine)
    shaper, opened, previous, seconds = None, None, (0, 0), 0.0
    frames = values = 0
    waiting: list[Samples] = []
    ending = None
    for rate, block in reader:
        sound = rate, block.shape[1]
        if sound != previous:
            _check(sound, job)
            if shaper:
                waiting.append(shaper.finish())
            try:
                shaper = _shaper(sound, job, opened)
            except RefusedError:
                if opened is None:
                    raise
                ending = "extra-data"  # a later part without the channels of the first
                break
            if opened is None:
                opened = Opened(*sound, shaper.out_channels)
                yield opened
            previous = sound
        assert shaper is not None
        frames += len(block)
        values += block.size
        seconds += len(block) / rate
        if frames > job.max_frames:
            raise RefusedError("limit-frames")
        if values > job.expansion_grace and values > job.max_expansion * source.size:
            raise RefusedError("limit-expansion", job.max_expansion)
        waiting.append(shaper.push(block))
        if sum(part.shape[1] for part in waiting) >= BLOCK_SAMPLES:
            yield np.concatenate(waiting, axis=1) if len(waiting) > 1 else waiting[0]
            waiting = []
    ending = ending or reader.ending
    if shaper is None:
        raise RefusedError(ending if ending == "truncated" else "empty")
    waiting.append(shaper.finish())
    last = np.concatenate(waiting, axis=1)
    if last.shape[1]:
        yield last
    yield Ended(round(seconds * 1e6), ending)


def _check(sound: tuple[int, int], job: Job) -> None:
    rate, channels = sound
    check_sound(rate, channels)
    if channels > job.max_channels:
        raise RefusedError("channels", channels, job.max_channels)
    if not job.min_rate <= rate <= job.max_rate:
        raise RefusedError("rate", rate)


def _shaper(sound: tuple[int, int], job: Job, opened: Opened | None) -> Shaper:
    rate, channels = sound
    out_rate = job.out_rate or (opened.rate if opened else rate)
    shaper = Shaper(rate, channels, job.channels, zero_nonfinite=job.zero_nonfinite, out_rate=out_rate)
    if opened and shaper.out_channels != opened.channels:
        raise RefusedError("missing-channel", opened.channels - 1, channels)
    return shaper


def main(link: int, engine: str) -> None:
    """Serve recordings from a socket until it closes."""
    sock = socket.socket(fileno=link)
    _warm_up(engine)
    confine.confine_process(sock)
    sock.sendall(HEADER.pack(READY, 0, 0, 0, 0))
    while True:
        raw, descriptors, _, _ = socket.recv_fds(sock, MAX_JOB_BYTES, 1)
        if not raw:
            return
        if not descriptors:  # a cancellation that came after the end
            continue
        try:  # or one that came just before the next recording, in the same message
            _serve(sock, descriptors[0], Job.from_bytes(raw.lstrip(CANCEL)))
        finally:
            os.close(descriptors[0])


def _serve(sock: socket.socket, descriptor: int, job: Job) -> None:
    confine.limit_recording(job.memory_bytes, job.cpu_seconds)
    try:
        for event in work(Bytes(descriptor, job.start), job):
            if isinstance(event, Opened):
                sock.sendall(HEADER.pack(OPENED, *event, 0))
            elif isinstance(event, Ended):
                code = CODES.index(event.ending) + 1 if event.ending else 0
                sock.sendall(HEADER.pack(ENDED, code, 0, 0, event.microseconds))
            else:
                event = np.ascontiguousarray(event, dtype=np.float32)
                sock.sendall(HEADER.pack(BLOCK, *event.shape, 0, 0))
                sock.sendall(event.data)
                if _is_cancelled(sock):
                    sock.sendall(HEADER.pack(ENDED, 0, 0, 0, 0))
                    return
    except RefusedError as refused:
        _send_refusal(sock, refused)
    except MemoryError:
        _send_refusal(sock, RefusedError("limit-memory"))
    except ConnectionError:
        raise
    except OSError:
        _send_refusal(sock, RefusedError("unreadable"))
    except Exception:  # bindings of decoders raise anything for a broken file
        _send_refusal(sock, RefusedError("undecodable"))


def _send_refusal(sock: socket.socket, refused: RefusedError) -> None:
    numbers = (min(max(value, 0), 2**32 - 1) for value in (refused.a, refused.b))
    sock.sendall(HEADER.pack(REFUSED, CODES.index(refused.code), *numbers, 0))


def _is_cancelled(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_DONTWAIT) == CANCEL
    except BlockingIOError:
        return False


def _warm_up(engine: str) -> None:
    """Decode short recordings, so that everything is loaded: later nothing can be opened any more."""
    silence = np.zeros(RATE, dtype=np.int16)
    for encoded, container in ((encode_wav(silence), "wav"), (encode_flac(silence), "flac")):
        with tempfile.TemporaryFile() as file:
            file.write(encoded)
            file.flush()
            job = Job(container, engine if container == "wav" else "sound", out_rate=8_000)
            for _ in work(Bytes(file.fileno()), job):
                pass
