"""The packages whose formats are written open the exports."""

import io
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import soundfile

from deident.audio import RATE
from deident.datasets import export
from deident.datasets.huggingface import MapBatch
from deident.datasets.items import Item, read_items
from deident.errors import RecordingError, SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.segmentation.cutting import CuttingSettings
from tests import datasets
from tests.datasets import Timed, spread
from tests.methods import Sine

folder, store = datasets.folder, datasets.store  # fixtures

pytestmark = pytest.mark.interop


def loader(name: str) -> Any:
    """Import a package of others without its warnings; it asks no server."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@pytest.fixture
def items(store: Path) -> list[Item]:
    return read_items(store)


def lines(items: list[Item]) -> set[tuple[object, ...]]:
    return {(id, " ".join(str(text).split()), *rest) for id, text, *rest in spread(items)}


@pytest.mark.filterwarnings("ignore")
def test_lhotse_opens_its_manifests(items: list[Item], tmp_path: Path) -> None:
    lhotse = loader("lhotse")
    export(items, "lhotse", tmp_path / "l")
    recordings = lhotse.load_manifest(tmp_path / "l" / "recordings.jsonl.gz")
    supervisions = lhotse.load_manifest(tmp_path / "l" / "supervisions.jsonl.gz")
    cuts = lhotse.load_manifest(tmp_path / "l" / "cuts.jsonl.gz")
    lhotse.validate_recordings_and_supervisions(recordings, supervisions)
    lhotse.validate(cuts, read_data=True)
    found = {(s.id, s.text, s.speaker, s.gender, s.duration) for c in cuts for s in c.supervisions}
    assert found == lines(items)
    assert {len(s.alignment["word"]) for s in supervisions} == {1}
    audio = cuts[0].load_audio()
    expected, _ = soundfile.read(
        io.BytesIO(next(i for i in items if i.id == cuts[0].id).read()), dtype="float32"
    )
    assert (audio[0] == expected).all()


@pytest.mark.filterwarnings("ignore")
def test_lazy_cuts_become_cuts_of_snippets_one_by_one(folder: Path, tmp_path: Path) -> None:
    lhotse = loader("lhotse")
    from deident.datasets.lhotse_cuts import SnippetCuts

    key = Key(bytes(32))
    recordings = [lhotse.Recording.from_file(folder / name) for name in ("rec1.flac", "rec2.wav")]
    supervisions = [
        lhotse.SupervisionSegment(
            id=f"s{k}", recording_id=r.id, start=1.0, duration=3.0, channel=0, text="one two", speaker="anna",
            language="en", custom={"take": "7"},
            alignment={"word": [lhotse.supervision.AlignmentItem("one", 1.25, 0.5000625),
                                lhotse.supervision.AlignmentItem("two", 2.0, 1.0)]},
        )
        for k, r in enumerate(recordings)
    ]  # fmt: skip
    made = lhotse.CutSet.from_manifests(
        lhotse.RecordingSet.from_recordings(recordings),
        lhotse.SupervisionSet.from_segments(supervisions),
    )
    made.truncate(offset_type="start", max_duration=7.0).to_file(tmp_path / "cuts.jsonl.gz")
    whole = lhotse.load_manifest_lazy(tmp_path / "cuts.jsonl.gz")
    parts = lhotse.CutSet.from_cuts(cut.truncate(offset=0.5) for cut in whole)
    policy = Policy(disguise=Timed(), scope="speaker", carry=("text", "words"))
    for cuts in (whole, parts):
        asked: list[str] = []
        counted = (asked.append(cut.id) or cut for cut in cuts)
        snippets = iter(SnippetCuts(counted, policy, key=key, carry=("language", "take")))
        first = next(snippets)
        assert len(asked) == 1
        found = [first, *snippets]
        assert len(found) == 2
        for cut in found:
            lhotse.validate(cut, read_data=True)
            [supervision] = cut.supervisions
            assert (cut.duration, supervision.text, supervision.language) == (3.0, "one two", "en")
            assert supervision.custom == {"take": "7"}
            assert supervision.speaker == key.pseudonym("speaker", "anna")
            times = [(w.symbol, w.start, w.duration) for w in supervision.alignment["word"]]
            assert times == [("one", 0.25, 8_001 / RATE), ("two", 1.0, 1.0)]
            assert not any(name in repr(cut.to_dict()) for name in ("rec1", "rec2", "anna", "s0"))
    again = lhotse.CutSet(SnippetCuts(whole, policy, key=key))
    assert len(list(again)) == len(list(again)) == 2


@pytest.mark.filterwarnings("ignore")
def test_lhotse_opens_kaldi_folders(items: list[Item], tmp_path: Path) -> None:
    loader("lhotse")
    from lhotse.kaldi import load_kaldi_data_dir

    export(items, "kaldi", tmp_path / "k")
    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "k", sampling_rate=RATE)
    durations = {r.id: round(r.duration, 6) for r in recordings}
    found = {(s.id, s.text, s.speaker, s.gender, durations[s.recording_id]) for s in supervisions}
    assert found == lines(items)


@pytest.mark.filterwarnings("ignore")
def test_nemo_entries_fit_their_files(items: list[Item], tmp_path: Path) -> None:
    export(items, "nemo", tmp_path / "n")
    rows = [json.loads(line) for line in (tmp_path / "n" / "manifest.json").read_text().split("\n") if line]
    for row, item in zip(rows, items, strict=True):
        info = soundfile.info(tmp_path / "n" / row["audio_filepath"])
        assert info.frames == round(row["duration"] * RATE)
        assert (row["speaker"], row["gender"]) == (item.speaker, item.labels["gender"])


@pytest.mark.filterwarnings("ignore")
def test_datasets_opens_parquet(items: list[Item], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from deident.datasets import parquet

    parquet.write(items, tmp_path / "p", shard=3)
    parquet.write(items, tmp_path / "q", shard=3)
    files = sorted((tmp_path / "p").iterdir())
    assert [f.name for f in files] == ["data-00000.parquet", "data-00001.parquet"]
    for file in files:
        data = file.read_bytes()
        assert data == (tmp_path / "q" / file.name).read_bytes()
        assert (file.stat().st_mtime, file.stat().st_mode & 0o777) == (0, 0o600)
        assert not any(canary in data for canary in (b"anna", b"rec1", str(tmp_path).encode()))
    datasets = loader("datasets")
    opened = datasets.load_dataset(
        "parquet", data_dir=str(tmp_path / "p"), cache_dir=str(tmp_path / "cache")
    )["train"]
    assert opened.features["audio"] == datasets.Audio(sampling_rate=RATE)
    again = datasets.Dataset.from_parquet([str(f) for f in files], cache_dir=str(tmp_path / "cache2"))
    assert again.features == opened.features
    rows = list(opened.cast_column("audio", datasets.Audio(decode=False)))
    assert {(r["id"], r["text"], r["speaker"], r["gender"], r["seconds"]) for r in rows} == spread(items)
    words = {item.id: list(item.words) for item in items}
    assert {r["id"]: [(w["start"], w["stop"], w["text"]) for w in r["words"]] for r in rows} == words
    sounds = {item.id: item.read() for item in items}
    assert all(row["audio"]["bytes"] == sounds[row["id"]] for row in rows)


@pytest.mark.filterwarnings("ignore")
def test_datasets_maps_in_batches(folder: Path, tmp_path: Path) -> None:
    datasets = loader("datasets")
    files = [str(folder / name) for name in ("rec1.flac", "rec2.wav")]
    data = datasets.Dataset.from_dict({"audio": files, "session": [1, 2]})
    data = data.cast_column("audio", datasets.Audio(decode=False))
    made = data.map(
        MapBatch(Policy(disguise=Sine())), batched=True, batch_size=1, remove_columns=data.column_names,
        cache_file_name=str(tmp_path / "map.arrow"),
    )  # fmt: skip
    made = made.cast_column("audio", datasets.Audio(decode=False))
    assert made.column_names == ["audio"]
    assert len(made) >= 4
    assert all(row["audio"]["bytes"][:4] == b"RIFF" for row in made)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_carries_columns_and_words_and_skips_bad_rows(
    folder: Path,
    tmp_path: Path,
    streaming: bool,
) -> None:
    datasets = loader("datasets")
    (tmp_path / "broken.wav").write_bytes(b"no sound at all")
    files = [str(folder / "rec1.flac"), str(tmp_path / "broken.wav"), str(folder / "rec2.wav")]
    words = [
        [{"start": 1.0000625, "stop": 1.5, "text": "one"}],
        [],
        [{"start": 2.0, "stop": 2.4375625, "text": "two"}],
    ]
    data = datasets.Dataset.from_dict(
        {"audio": files, "language": ["en", "de", "en"], "words": words, "take": [1, 2, 3]}
    )
    data = data.cast_column("audio", datasets.Audio(decode=False))
    names = data.column_names
    read: list[int] = []
    if streaming:
        data = data.to_iterable_dataset().map(lambda row: read.append(row["take"]) or row)
    policy = Policy(disguise=Timed(), cutting=CuttingSettings(max_seconds=60.0), carry=("words",))
    function = MapBatch(policy, carry=("language", "take"), on_error="skip")
    made = data.map(function, batched=True, batch_size=1, remove_columns=names)
    rows = iter(made)
    first = next(rows)
    assert read == ([1] if streaming else [])  # no more than it must
    found = [first, *rows]
    assert {row["take"] for row in found} == {1, 3}
    assert {row["language"] for row in found} == {"en"}
    assert function.skipped == {"not-audio": 1}
    at = {w["text"]: round((w["stop"] - w["start"]) * RATE) for row in found for w in row["words"]}
    assert at == {"one": 8_000 - 1, "two": 7_001}
    assert set(found[0]) == {"audio", "words", "language", "take"}


def test_a_bad_row_stops_the_map_unless_it_may_be_skipped() -> None:
    batch = {"audio": [None, {"array": [0.0] * 8_000, "sampling_rate": RATE}], "take": [1, 2]}
    with pytest.raises(RecordingError, match="array, bytes or path"):
        MapBatch()(batch)
    function = MapBatch(carry=("take",), on_error="skip")
    with pytest.warns(UserWarning, match="1 recordings of a batch"):
        assert function(batch) == {"audio": [], "take": []}
    assert function.skipped == {"bad-samples": 1}
    assert not pickle.loads(pickle.dumps(function)).skipped
    for wrong, why in (
        ({"carry": "take"}, "list of names"), ({"carry": ("text",)}, "policy's carry"),
        ({"on_error": "ignore"}, "raise"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=why):
            MapBatch(**wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="column other"):
        MapBatch(carry=("other",))(batch)


@pytest.mark.filterwarnings("ignore")
def test_webdataset_opens_shards(items: list[Item], tmp_path: Path) -> None:
    webdataset = loader("webdataset")
    from deident.datasets.webdataset import write

    write(items, tmp_path / "w", shard=3)
    shards = sorted(str(p) for p in (tmp_path / "w").iterdir())
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode())
    found = {
        (s["__key__"], s["txt"], s["json"]["speaker"], s["json"]["gender"], s["json"]["seconds"])
        for s in samples
    }
    assert found == spread(items)
    sounds = {item.id: item.read() for item in items}
    raw = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False)
    assert all(sample["wav"] == sounds[sample["__key__"]] for sample in raw)
