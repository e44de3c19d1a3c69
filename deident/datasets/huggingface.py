"""De-identification as a function for `Dataset.map` of Hugging Face's `datasets`."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from deident.datasets.entries import segment_of, text_of
from deident.errors import RecordingError, SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.segment import RATE
from deident.segmentation.turns import CARRIED, TIMED, WHOLE, Turn, Word, one_form


@dataclass(frozen=True)
class MapBatch:
    """Turn rows of recordings into rows of snippets, as a function for `map` of a `Dataset` or an `IterableDataset`.

    The audio column becomes {"bytes", "path"}: cast it to `datasets.Audio()`. With "text" in the policy's carry, the
    column `text` goes with the snippets that hold all of it; with "words" and "phones", the columns of these names go
    with them, moved to their times in the snippet; where the policy tells speakers, the column `speaker` holds
    pseudonyms. Other columns are left out unless `carry` names them, because equal values in them would link the
    snippets of a recording.

    Parameters
    ----------
    policy : Policy, optional
        The settings of the de-identification.
    key : Key, optional
        For pseudonyms and for voices kept by speaker.
    audio : str, default "audio"
        The name of the audio column.
    carry : tuple of str, optional
        Columns that go along as they are.
    on_error : {"raise", "skip"}, optional
        Stop at a recording that cannot be used, or leave it out and count it in `skipped`, with a warning a batch.

    Attributes
    ----------
    skipped : Counter
        Recordings that were left out, by the code of the reason, in this process.

    Raises
    ------
    SettingError
        If a column is not there.
    RecordingError
        If a recording cannot be used, or is not as `datasets` has it.

    Examples
    --------
    >>> from deident.datasets.huggingface import MapBatch
    >>> def deidentified(dataset):
    ...     function = MapBatch(carry=("language",), on_error="skip")
    ...     return dataset.map(function, batched=True, batch_size=8, remove_columns=dataset.column_names)
    """

    policy: Policy = field(default_factory=Policy)
    key: Key | None = None
    audio: str = "audio"
    carry: tuple[str, ...] = ()
    on_error: Literal["raise", "skip"] = "raise"
    skipped: Counter[str] = field(default_factory=Counter, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "skip"):
            raise SettingError(f'expected on_error "raise" or "skip"; got {self.on_error!r:.40}')
        if isinstance(self.carry, str) or not all(isinstance(name, str) for name in self.carry):
            raise SettingError("expected carry as a list of names of columns")
        if taken := {self.audio, *CARRIED}.intersection(self.carry):
            raise SettingError(f"the column {min(taken)} goes along by the policy's carry alone")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "skipped": Counter()}  # `datasets` recognises a function by what it pickles to

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        for name in (self.audio, *self.carry):
            if name not in batch:
                raise SettingError(
                    f"expected a column {name}"
                    + (" with the audio; name it with audio=" if name == self.audio else ", as carry says")
                )
        rows: list[dict[str, Any]] = []
        before = self.skipped.total()
        for index in range(len(batch[self.audio])):
            try:
                rows += self._rows({name: column[index] for name, column in batch.items()})
            except RecordingError as error:
                if self.on_error == "raise":
                    raise
                self.skipped[error.code] += 1
        if count := self.skipped.total() - before:
            warnings.warn(f"{count} recordings of a batch cannot be used and were skipped", stacklevel=2)
        rows.sort(key=lambda row: str(row[self.audio]["path"]))  # by names drawn at random
        names = [self.audio, *(name for name in ("text", *TIMED) if name in self.policy.carry)]
        names += [*(["speaker"] if self.policy.tells_speakers else []), *self.carry]
        return {name: [row[name] for row in rows] for name in names}

    def _rows(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """De-identify a recording: a row for each snippet."""
        from deident.pipeline import deidentify

        speaker, text, *timed = (row.get(name) for name in ("speaker", "text", *TIMED))
        if not isinstance(text, str | None):
            raise SettingError("expected the column text as text")
        who = None if speaker is None else one_form(str(speaker))
        words, phones = map(_words, timed)
        is_told = text is not None or words or phones
        turns = [Turn(WHOLE, text=text, words=words, phones=phones)] if is_told else []
        container = self.policy.container
        kept = {name: row[name] for name in self.carry}
        return [
            {
                **kept,
                self.audio: {"bytes": snippet.encode(container), "path": f"{snippet.name}.{container}"},
                "text": snippet.text,
                **{name: _rows_of(getattr(snippet, name)) for name in TIMED},
                "speaker": self.key.pseudonym("speaker", who) if self.key and who is not None else None,
            }
            for snippet in deidentify(
                _source(row[self.audio]), self.policy, key=self.key, speaker=who, turns=turns
            )
        ]


def _rows_of(words: Iterable[Word]) -> list[dict[str, Any]]:
    return [{"start": w.segment.start / RATE, "stop": w.segment.stop / RATE, "text": w.text} for w in words]


def _words(words: Any) -> tuple[Word, ...]:
    """Read the words of a row: mappings with start, stop or end, and text or word, in seconds; or one of lists."""
    try:
        if isinstance(words, Mapping):  # as `datasets` has a Sequence of several features
            words = [dict(zip(words, row, strict=True)) for row in zip(*words.values(), strict=True)]
        return tuple(
            Word(
                segment_of(word["start"], word["stop"] if "stop" in word else word["end"]),
                text_of({"word": word["text"] if "text" in word else word["word"]}, "word") or "",
            )
            for word in words or ()
        )
    except (KeyError, TypeError, ValueError):
        raise SettingError("expected words as a list of {start, stop, text}, in seconds") from None


def _source(value: Any) -> Any:
    """Turn an element of an Audio column, decoded or not, into a source for `deidentify`."""
    if hasattr(value, "get_all_samples"):  # torchcodec's decoder
        samples = value.get_all_samples()
        return samples.data.numpy(), int(samples.sample_rate)
    if isinstance(value, Mapping) and value.get("array") is not None:
        return value["array"], int(value["sampling_rate"])
    if isinstance(value, Mapping) and value.get("bytes") is not None:
        return io.BytesIO(value["bytes"])
    if isinstance(value, Mapping) and value.get("path"):
        return value["path"]
    raise RecordingError("expected the audio as datasets has it: array, bytes or path", "bad-samples")
