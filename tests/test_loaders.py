"""The packages whose formats are written open the exports."""

import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import soundfile

from deident.audio import RATE
from deident.datasets import export
from deident.datasets.huggingface import MapBatch
from deident.datasets.items import Item, read_items
from deident.policy import Policy
from tests.methods import Sine
from tests.test_datasets import folder, spread, store  # noqa: F401  fixtures

pytestmark = pytest.mark.interop


def loader(name: str) -> Any:
    """Import a package of others without its warnings; it asks no server."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@pytest.fixture
def items(store: Path) -> list[Item]:  # noqa: F811
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
    sounds = {item.id: item.read() for item in items}
    assert all(row["audio"]["bytes"] == sounds[row["id"]] for row in rows)


@pytest.mark.filterwarnings("ignore")
def test_datasets_maps_in_batches(folder: Path, tmp_path: Path) -> None:  # noqa: F811
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
