"""De-identification as a function for `Dataset.map` of Hugging Face's `datasets`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deident.errors import SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.segmentation.turns import WHOLE, Turn


@dataclass(frozen=True)
class MapBatch:
    """Turn rows of recordings into rows of snippets, as a function for `Dataset.map`.

    The audio column becomes {"bytes", "path"}: cast it to `datasets.Audio()`. With "text" in the policy's carry, the
    column `text` goes with the snippets that hold all of it; where the policy tells speakers, the column `speaker`
    holds pseudonyms. Other columns are left out, because equal values in them would link the snippets of a recording.

    Parameters
    ----------
    policy : Policy, optional
        The settings of the de-identification.
    key : Key, optional
        For pseudonyms and for voices kept by speaker.
    audio : str, default "audio"
        The name of the audio column.

    Raises
    ------
    SettingError
        If the column is not there, or is not as `datasets` has it.
    RecordingError
        If a recording cannot be used.

    Examples
    --------
    >>> from deident.datasets.huggingface import MapBatch
    >>> def deidentified(dataset):
    ...     return dataset.map(MapBatch(), batched=True, remove_columns=dataset.column_names)
    """

    policy: Policy = field(default_factory=Policy)
    key: Key | None = None
    audio: str = "audio"

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        if self.audio not in batch:
            raise SettingError("expected a column with the audio; name it with audio=")
        nothing = [None] * len(batch[self.audio])
        columns = zip(
            batch[self.audio], batch.get("speaker", nothing), batch.get("text", nothing), strict=True
        )
        rows = [row for audio, speaker, text in columns for row in self._rows(audio, speaker, text)]
        rows.sort(key=lambda row: str(row[self.audio]["path"]))  # by names drawn at random
        names = [self.audio, *(["text"] if "text" in self.policy.carry else [])]
        names += ["speaker"] if self.policy.tells_speakers else []
        return {name: [row[name] for row in rows] for name in names}

    def _rows(self, audio: Any, speaker: Any, text: str | None) -> Iterator[dict[str, Any]]:
        from deident.pipeline import deidentify

        who = None if speaker is None else str(speaker)
        turns = [Turn(WHOLE, text=text)] if text is not None else []
        for snippet in deidentify(_source(audio), self.policy, key=self.key, speaker=who, turns=turns):
            container = self.policy.container
            yield {
                self.audio: {"bytes": snippet.encode(container), "path": f"{snippet.name}.{container}"},
                "text": snippet.text,
                "speaker": self.key.pseudonym("speaker", who) if self.key and who is not None else None,
            }


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
    raise SettingError("expected the audio as datasets has it: array, bytes or path")
