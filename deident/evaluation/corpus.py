"""The speech an evaluation is made on: utterances, their speakers, and what each is for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from deident.audio import RATE, Audio, Segment
from deident.errors import RecordingError, SettingError

LEAST_SPEAKERS = 4  # of each role; under 20 the report's intervals say how little that is


@dataclass(frozen=True, eq=False)
class Utterance:
    """A few seconds of one speaker's undisguised speech.

    Attributes
    ----------
    name : str
        Unique in its corpus.
    speaker : str
    load : callable
        Gives the audio, mono at 16 kHz. One whose audio is costly to make has a `digest()` that stands for it.
    sex : "F", "M" or ""
    transcript : str
    recording : str
        The same for utterances that were cut from one recording.
    role : "train", "trial", "enrol" or ""
        "train" for the attacker's material; "" for undecided.
    group : str
        Another property to report by, such as "child".
    corpus : str
        The corpus it came from, where several were joined.
    """

    name: str
    speaker: str
    load: Callable[[], Audio] = field(repr=False)
    sex: str = ""
    transcript: str = ""
    recording: str = ""
    role: str = ""
    group: str = ""
    corpus: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Properties that numbers are reported by."""
        return tuple(label for label in (self.sex, self.group, self.corpus) if label)

    @property
    def stratum(self) -> str:
        """Speakers of one stratum are compared with each other: all else would give them away."""
        return " ".join(self.labels)

    def digest(self) -> str:
        """64 hexadecimal digits that stand for its samples, whatever it is called."""
        own = getattr(self.load, "digest", None)
        return own() if own else hashlib.sha256(self.load().samples.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class InMemory:
    """Audio that has been read already."""

    audio: Audio

    def __call__(self) -> Audio:
        return self.audio


@dataclass(frozen=True, eq=False)
class Corpus:
    """The utterances of an evaluation, training and trial speakers disjoint (`divide` sees to that).

    Attributes
    ----------
    name : str
    utterances : tuple of Utterance
    remarks : tuple of str
        What was left out and what is lacking, for the report.
    synthetic : bool
        Its voices belong to no one.
    """

    name: str
    utterances: tuple[Utterance, ...]
    remarks: tuple[str, ...] = ()
    synthetic: bool = False

    @cached_property
    def train(self) -> tuple[Utterance, ...]:
        """The attacker's material."""
        return tuple(u for u in self.utterances if u.role == "train")

    @cached_property
    def tests(self) -> tuple[Utterance, ...]:
        """Utterances of the speakers on trial."""
        return tuple(u for u in self.utterances if u.role in ("trial", "enrol"))


def joined(corpora: Sequence[Corpus]) -> Corpus:
    """Several corpora as one. Speakers of different corpora are never compared; numbers are given by corpus too."""
    if len(corpora) == 1:
        return corpora[0]
    names = [
        corpus.name if [c.name for c in corpora].count(corpus.name) == 1 else f"{corpus.name} {k}"
        for k, corpus in enumerate(corpora, start=1)
    ]
    utterances = tuple(
        replace(
            u, name=f"{name}/{u.name}", speaker=f"{name}/{u.speaker}", corpus=name,
            recording=f"{name}/{u.recording}" if u.recording else "",
        )
        for name, corpus in zip(names, corpora, strict=True) for u in corpus.utterances
    )  # fmt: skip
    remarks = tuple(
        f"{name}: {remark}" for name, c in zip(names, corpora, strict=True) for remark in c.remarks
    )
    return Corpus(" + ".join(names), utterances, remarks, any(corpus.synthetic for corpus in corpora))


def divide(corpus: Corpus, train_share: float = 0.5) -> Corpus:
    """The corpus with a role for every utterance and no speaker on both sides.

    Roles that are given are kept. Speakers without one are divided, each sex in the same shares, by a
    hash of their names, so that adding a speaker moves no other. Speakers with one utterance cannot be
    modelled and are left out. Raises `SettingError` when too few remain.
    """
    utterances, remarks = corpus.utterances, list(corpus.remarks)
    counts = Counter(u.speaker for u in utterances)
    alone = {speaker for speaker, count in counts.items() if count < 2}
    if alone:
        remarks.append(f"{len(alone)} speakers with a single utterance left out")
        utterances = tuple(u for u in utterances if u.speaker not in alone)
    if not any(u.role for u in utterances):
        stratum_of = {u.speaker: u.stratum for u in utterances}
        training = set()
        for stratum in sorted(set(stratum_of.values())):
            names = sorted((s for s, x in stratum_of.items() if x == stratum), key=_hash)
            training |= set(names[: round(len(names) * train_share)])
        utterances = tuple(replace(u, role="train" if u.speaker in training else "trial") for u in utterances)
    used = tuple(u for u in utterances if u.role)
    if len(used) < len(utterances):
        remarks.append(f"{len(utterances) - len(used)} utterances without a role left out")
    both = {u.speaker for u in used if u.role == "train"} & {u.speaker for u in used if u.role != "train"}
    if both:
        raise SettingError(f"{len(both)} speakers are both in training and in trials: they must be disjoint")
    for role, there in (("training", "train"), ("trial", "trial")):
        count = len({u.speaker for u in used if (u.role == "train") == (there == "train")})
        if count < LEAST_SPEAKERS:
            raise SettingError(
                f"expected at least {LEAST_SPEAKERS} {role} speakers with two utterances each; "
                f"got {count}: add speakers, with the role {there} if others have roles"
            )
        if count < 20:
            remarks.append(f"only {count} {role} speakers: expect wide intervals")
    remarks += _confounded(used)
    return replace(corpus, utterances=used, remarks=tuple(remarks))


def few_speakers(corpus: Corpus, most: int) -> Corpus:
    """The corpus with this many speakers, of each role and stratum in about the same share."""
    stratum_of = {u.speaker: (u.role == "train", u.stratum) for u in corpus.utterances}
    place: dict[str, tuple[float, str]] = {}
    for stratum in set(stratum_of.values()):
        names = sorted((s for s, x in stratum_of.items() if x == stratum), key=_hash)
        place |= {name: ((k + 0.5) / len(names), name) for k, name in enumerate(names)}
    kept = set(sorted(place, key=lambda name: place[name])[:most])
    return replace(corpus, utterances=tuple(u for u in corpus.utterances if u.speaker in kept))


def _confounded(used: Sequence[Utterance]) -> list[str]:
    """Remarks on properties that cannot be told from the speaker, or from each other, for want of data."""
    remarks = []
    if not any(u.sex for u in used):
        remarks.append("no speaker's sex is given: same-sex trials are all trials")
    elif any(not u.sex for u in used):
        remarks.append("the sex of some speakers is not given: they are compared with each other only")
    recordings: dict[str, set[str]] = {}
    for u in used:
        recordings.setdefault(u.speaker, set()).add(u.recording or u.name)
    if all(len(names) == 1 for names in recordings.values()):
        remarks.append("one recording a speaker: what tells speakers may be room and microphone as well")
    return remarks


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


LIMIT_SECONDS = 10.0  # snippets that leave are shorter; an attacker gets no more at a time
LEAST_SECONDS = 0.5


def prepare(
    corpus: Corpus, most: int = 12, spoken: int = 2, tick: Callable[[int], None] = lambda count: None
) -> Corpus:
    """The corpus divided, in memory, without what cannot be used.

    most : utterances kept a speaker and role.   spoken : of these, how many keep their transcript: recognising words
    costs more than everything else.   Utterances of the limit or longer are cut to it and lose their
    transcript. What cannot be read, or is shorter than half a second, is left out and counted.
    """
    kept: list[Utterance] = []
    counts: Counter[tuple[str, str]] = Counter()
    told: Counter[str] = Counter()
    broken = short = cut = 0
    for utterance in corpus.utterances:
        tick(1)
        if counts[utterance.speaker, utterance.role] >= most:
            continue
        try:
            audio = utterance.load()
        except (RecordingError, ValueError):
            broken += 1
            continue
        if audio.seconds < LEAST_SECONDS:
            short += 1
            continue
        text, end = utterance.transcript, round(LIMIT_SECONDS * RATE) - 1
        if len(audio) > end:
            audio, text, cut = audio[Segment(0, end)], "", cut + 1
        counts[utterance.speaker, utterance.role] += 1
        if text:
            told[utterance.speaker] += 1
            text = text if told[utterance.speaker] <= spoken else ""
        kept.append(replace(utterance, load=InMemory(audio), transcript=text))
    remarks = [
        f"{count} utterances {what}"
        for count, what in (
            (broken, "could not be read and were left out"),
            (short, f"shorter than {LEAST_SECONDS:g} s were left out"),
            (cut, f"of {LIMIT_SECONDS:g} s and more were cut to less (not used for word error)"),
        )
        if count
    ]
    return divide(replace(corpus, utterances=tuple(kept), remarks=(*corpus.remarks, *remarks)))
