"""Reasons for which a recording is refused or only partly read: every code, in one table.

A decoder's child process sends a code and two numbers, never words: what a broken or hostile decoder says
must not reach a log. The words are here.
"""

from __future__ import annotations

from deident.containers import CONTAINERS
from deident.errors import RecordingError


def _titles(engine: str) -> str:
    """List the containers that a library decodes."""
    return ", ".join(container.title for container in CONTAINERS.values() if container.engine == engine)


# RefusedError: nothing, or nothing that can be relied on, was read. {0} and {1} are numbers, {2} a word of our own.
PROBLEMS: dict[str, str] = {
    "missing": "there is no recording at this place",
    "unreadable": "the recording cannot be opened for reading: check its permissions and the disk",
    "directory": "expected a recording; got a folder",
    "not-regular": "expected a regular file; got a pipe, device or socket: pass it as an open binary file",
    "symlink": "the recording is a symbolic link: pass its target, or allow links (--follow-links, follow_links=True)",
    "not-binary": "expected a file that is open for reading in binary mode",
    "empty": "the recording holds no samples",
    "not-audio": f"the bytes are not those of any container on the list: {_titles('sound')}; "
    f"and with deident[av] {_titles('av')}",
    "needs-extra": "this container or codec needs an optional package: pip install 'deident[av]'",
    "undecodable": "the container is known but what is in it cannot be decoded: it is damaged, "
    "or its codec is unknown",
    "channels": "expected 1 to {1} channels; got {0}",
    "missing-channel": "channel {0} was asked for; the recording has {1} in all, numbered from 0",
    "rate": "expected a sample rate of 4,000 to 384,000 Hz, or what the limits say; got {0}",
    "clock": "its time stamps go back, or begin or go on hours late, so that times of turns, segments, words or parts "
    "to mute do not fit its sound: convert it to WAV, and take the times from that",
    "not-finite": "the recording holds NaN, infinite or absurdly large samples: repair it, "
    "or ask for them to be zeroed (nonfinite='zero')",
    "limit-memory": "decoding took more memory than the limit allows",
    "limit-time": "decoding took more time than the limit allows",
    "limit-frames": "the recording is longer than the limit allows",
    "limit-expansion": "the recording decodes to more than the limit of {0} samples a byte",
    "limit-spool": "the source is larger than the {0} bytes that are copied from a pipe or the like",
    "no-decoder": "the process that decodes cannot be started ({2}): check memory, the limit of processes, and that "
    "this Python can be run",
    "forked": "its reading was begun before this process was forked from another: begin it here anew",
    "decoder-crashed": "the decoder died of this recording ({2})",
}

# Partial: what was read is kept, and the end (or more) is missing. RefusedError under `strict`.
ENDINGS: dict[str, str] = {
    "truncated": "the recording ends before the end its header announces",
    "damaged": "the recording is damaged, and was read up to the damage only",
    "extra-data": "the file holds more than the recording its header announces; the rest was not read",
}

CODES = (*PROBLEMS, *ENDINGS)


class RefusedError(Exception):
    """A code and its numbers, until they become a `RecordingError`."""

    def __init__(self, code: str, a: int = 0, b: int = 0, word: str = "") -> None:
        super().__init__(code)
        self.code, self.a, self.b, self.word = code, a, b, word

    def error(self) -> RecordingError:
        words = PROBLEMS.get(self.code) or ENDINGS[self.code]
        return RecordingError(words.format(self.a, self.b, self.word), self.code)
