"""Decoding, and the processes that do nothing else.

A server process loads the libraries once, and forks decoders. A decoder receives the descriptor of one recording at a
time over a socket, and answers with a format, blocks of float32, and an end or a refusal, all as numbers. After a
recording that is refused or damaged it ends. No process here knows a path or has an environment.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pkgutil import resolve_name
from typing import NamedTuple, NoReturn

import numpy as np

from deident.audio import RATE, Samples
from deident.codec import confine
from deident.codec.files import Bytes
from deident.codec.limits import Limits
from deident.codec.mixing import Channels, Shaper
from deident.codec.problems import CODES, RefusedError
from deident.codec.readers import check_sound, open_reader
from deident.codec.write import encode_flac, encode_wav
from deident.containers import CONTAINERS

BLOCK_SAMPLES = 4 * RATE  # blocks are at least this long, the last one apart; of many channels shorter
HEADER = struct.Struct("<4sIIIQ")  # kind, three numbers, positions read
READY, OPENED, BLOCK, ENDED, REFUSED = b"redy", b"open", b"blok", b"ends", b"refu"
MAX_JOB_BYTES = 4096
STARTED = struct.Struct("<qQ")  # process number of a decoder, bytes of its address space
# Elsewhere, libraries of the system may not survive a fork, and limits cannot be set from outside: there a server
# becomes the only decoder that it starts.
FORKS = sys.platform == "linux"
IMPORT_FAILED = 3  # exit code of a server


@dataclass(frozen=True, slots=True)
class Job:
    """A recording to decode.

    out_rate : Hz, 0 for the recording's own.   start, stop : bytes of the file.   timed : times in it are given, and
    must fit.
    """

    container: str
    engine: str
    channels: Channels = "mix"
    zero_nonfinite: bool = False
    timed: bool = False
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
    stop: int | None = None

    @property
    def most_samples(self) -> float:
        """Samples that may come of it. The parent counts: a decoder that was taken over keeps no limit of its own."""
        decoded = max(self.expansion_grace, self.max_expansion * ((self.stop or 0) - self.start))
        return (1 + self.out_rate / self.min_rate) * min(decoded, self.max_frames * self.max_channels)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Job:
        return cls(**json.loads(raw))


class Opened(NamedTuple):
    rate: int
    source_channels: int
    channels: int
    confinement: int = 0  # bits of `confine.LAYERS`


class Ended(NamedTuple):
    microseconds: int
    ending: str | None
    cancelled_milliseconds: int = 0  # of channels that cancel each other
    separate: bool = False  # two channels with a person each were mixed


def work(source: Bytes, job: Job) -> Iterator[Opened | Samples | Ended]:
    """Decode a recording: yield Opened, then blocks (channels, n), then Ended. Raises `RefusedError`."""
    reader = open_reader(source, job.container, job.engine)
    shaper, opened, previous, seconds, cancelled = None, None, (0, 0), 0.0, 0.0
    frames = values = 0
    waiting: list[Samples] = []
    ending = None
    for rate, block in reader:
        if job.timed and reader.is_out_of_step:
            raise RefusedError("clock")
        sound = rate, block.shape[1]
        if sound != previous:
            _check(sound, job)
            try:
                following = _shaper(sound, job, opened)
            except RefusedError:
                if opened is None:
                    raise
                ending = "extra-data"  # a later part without the channels of the first
                break
            if shaper:
                waiting.append(shaper.finish())
                cancelled += shaper.cancelled_seconds
            shaper = following
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
        if sum(part.shape[1] for part in waiting) * max(1, shaper.out_channels // 8) >= BLOCK_SAMPLES:
            yield np.concatenate(waiting, axis=1) if len(waiting) > 1 else waiting[0]
            waiting = []
    ending = ending or reader.ending
    if shaper is None:
        raise RefusedError(ending if ending == "truncated" else "empty")
    waiting.append(shaper.finish())
    last = np.concatenate(waiting, axis=1)
    if last.shape[1]:
        yield last
    cancelled += shaper.cancelled_seconds
    yield Ended(round(seconds * 1e6), ending, round(cancelled * 1e3), shaper.separate)


def _check(sound: tuple[int, int], job: Job) -> None:
    """Refuse a format outside the limits of a job."""
    rate, channels = sound
    check_sound(rate, channels)
    if channels > job.max_channels:
        raise RefusedError("channels", channels, job.max_channels)
    if not job.min_rate <= rate <= job.max_rate:
        raise RefusedError("rate", rate)


def _shaper(sound: tuple[int, int], job: Job, opened: Opened | None) -> Shaper:
    """Make the shaper of a stream; one that follows another must have its channels."""
    rate, channels = sound
    out_rate = job.out_rate or (opened.rate if opened else rate)
    shaper = Shaper(rate, channels, job.channels, zero_nonfinite=job.zero_nonfinite, out_rate=out_rate)
    if opened and shaper.out_channels != opened.channels:
        raise RefusedError("missing-channel", opened.channels - 1, channels)
    return shaper


def main(control: int, engine: str) -> None:
    """Serve recordings from a socket until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    try:
        serve(socket.socket(fileno=control), engine)
    except ImportError:
        os._exit(IMPORT_FAILED)


def serve(control: socket.socket, engine: str) -> None:
    """Start a decoder for each message, which has the descriptors of a link and of a status socket.

    The status socket tells the decoder's process; when its other end is shut down, the decoder is ended, and the last
    byte is the number of the signal that ended it, or 0.
    """
    _warm_up(engine)
    confine.prepare()
    gc.freeze()  # a collection would write to all the memory that decoders share
    control.sendall(READY)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    decoders: dict[int, tuple[socket.socket, int]] = {}
    while True:
        for ready, _ in poll.poll():
            if ready != control.fileno():
                poll.unregister(ready)
                _end(*decoders.pop(ready))
                continue
            raw, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if not raw:
                for decoder in decoders.values():
                    _end(*decoder)
                return
            link, status = (socket.socket(fileno=descriptor) for descriptor in descriptors)
            try:
                pid = os.fork() if FORKS else 0
            except OSError:  # the other end finds both closed
                link.close()
                status.close()
                continue
            if pid == 0:
                status.sendall(STARTED.pack(os.getpid(), confine.address_space()))
                for inherited in (control, status, *(other for other, _ in decoders.values())):
                    inherited.close()
                _decode(link)
            link.close()
            decoders[status.fileno()] = status, pid
            poll.register(status, select.POLLIN)


def _end(status: socket.socket, pid: int) -> None:
    """End a decoder, and answer with the signal that ended it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with status, contextlib.suppress(OSError):
        status.send(bytes([max(0, -code)]), socket.MSG_DONTWAIT)


def _decode(link: socket.socket) -> NoReturn:
    """Decode one recording after another, as long as they are sound."""
    try:
        layers = confine.confine_process(link)
        is_sound = True
        while is_sound:
            raw, descriptors, _, _ = socket.recv_fds(link, MAX_JOB_BYTES, 1)
            if not descriptors:
                break
            job = Job.from_bytes(raw)
            if not FORKS:
                confine.limit_recording(0, confine.address_space(), job.memory_bytes, job.cpu_seconds)
            is_sound = _serve(link, Bytes(descriptors[0], job.start, job.stop), job, layers)
            os.close(descriptors[0])
    finally:
        os._exit(0)


def _serve(link: socket.socket, source: Bytes, job: Job, layers: int) -> bool:
    """Send what a recording holds, or a refusal; tell whether it was sound."""
    ending: str | None = "refused"
    try:
        for event in work(source, job):
            if isinstance(event, Opened):
                link.sendall(HEADER.pack(OPENED, *event[:3], layers))
            elif isinstance(event, Ended):
                ending = event.ending
                code = CODES.index(ending) + 1 if ending else 0
                told = event.cancelled_milliseconds, event.separate, event.microseconds
                link.sendall(HEADER.pack(ENDED, code, *told))
            else:
                event = np.ascontiguousarray(event, dtype=np.float32)
                link.sendall(HEADER.pack(BLOCK, *event.shape, 0, 0))
                link.sendall(event.data)
    except RefusedError as refused:
        _send_refusal(link, refused)
    except MemoryError:
        _send_refusal(link, RefusedError("limit-memory"))
    except ConnectionError:
        raise
    except OSError:
        _send_refusal(link, RefusedError("unreadable"))
    except Exception:  # bindings of decoders raise anything for a broken file
        _send_refusal(link, RefusedError("undecodable"))
    return ending is None


def _send_refusal(sock: socket.socket, refused: RefusedError) -> None:
    numbers = (min(max(value, 0), 2**32 - 1) for value in (refused.a, refused.b))
    sock.sendall(HEADER.pack(REFUSED, CODES.index(refused.code), *numbers, 0))


def _warm_up(engine: str) -> None:
    """Load every reader, and decode short recordings: later no module or library can be opened any more."""
    for container in CONTAINERS.values():
        if container.engine == engine:
            for place in filter(None, (container.reader, container.layout)):
                resolve_name(place)
    silence = np.zeros(RATE, dtype=np.int16)
    for encoded, name in ((encode_wav(silence), "wav"), (encode_flac(silence), "flac")):
        with tempfile.TemporaryFile() as file:
            file.write(encoded)
            file.flush()
            job = Job(name, engine if name == "wav" else "sound", out_rate=8_000)
            for _ in work(Bytes(file.fileno()), job):
                pass
