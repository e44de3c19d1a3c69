"""Data sets that are written: what comes out, what is refused, and nothing of the source with it."""

import gzip
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from deident.datasets import EXPORTERS, card, export, exporter_named, kaldi, lhotse, nemo
from deident.datasets.items import Item, read_items
from deident.datasets.package import package
from deident.disguise import Chain
from deident.disguise.psola import Psola
from deident.disguise.vocoder import Vocoder
from deident.errors import SettingError, StoreError
from deident.evaluation.layouts import read_corpus
from deident.policy import Policy
from deident.runs.run import run
from deident.segmentation.turns import Word
from tests import datasets
from tests.contracts.exporter import EXPORTER_CONTRACTS, ExporterContract
from tests.datasets import CANARIES, KEY, TEXTS, deident, spread, turns
from tests.methods import Sine

folder, store = datasets.folder, datasets.store  # fixtures


@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("contract", EXPORTER_CONTRACTS, ids=lambda contract: contract.__name__)
def test_exporters_hold_their_contract(
    contract: ExporterContract, name: str, store: Path, tmp_path: Path
) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    contract(exporter_named(name), read_items(store), tmp_path)


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_export_tells_nothing_of_its_source(name: str, store: Path, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    export(read_items(store), name, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.*"):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not any(canary.encode() in data for canary in (*CANARIES, os.fspath(store)))


def test_every_export_has_a_card(store: Path, tmp_path: Path) -> None:
    settings = Policy(
        disguise=Vocoder(tract=(0.9, 1.0)), scope="speaker", carry=("text", "words")
    ).to_mapping()
    summary = {
        "version": "9.9", "policy": "f" * 16, "settings": settings, "dropped_seconds": {"over_limit": 12.34},
        "recordings": 2, "speech_seconds": 20.0, "read_seconds": 1234567.89,
        "shortened_seconds": -2.7e-15, "problems": [{"recording": "anna"}],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(summary))
    out = ("export", store, "--to", "tests.test_exporters:count_lines", "--out")
    assert deident(*out, tmp_path / "out", "--summary", tmp_path / "run.json") == 0
    told = (tmp_path / "out" / "README.md").read_text()
    seconds = [item.seconds for item in read_items(store)]
    for line in (
        "| snippets | 4 |", f"| longest | {max(seconds):.2f} s |", "| sample rate | 16000 Hz |",
        "| speakers | 2, by pseudonym |",
        "| carried along | text, speaker, words, gender |", "By deident 9.9, under the policy ffffffffffffffff",
        "| dropped: over limit | 12.3 s |", "| seconds of speech found | 20 |",
        "| recordings read | 2 |", "| seconds read | 1,234,567.9 |", "| seconds of pauses taken out | 0 |",
        '"pause_seconds": [', "not anonymous", "`deident evaluate`",
    ):  # fmt: skip
        assert line in told
    assert not any(canary in told for canary in (*CANARIES, "names everybody"))
    assert (tmp_path / "out" / "README.md").stat().st_mode & 0o777 == 0o600
    assert deident(*out, tmp_path / "bare") == 0
    assert "not given at the export" in (tmp_path / "bare" / "README.md").read_text()
    for wrong in ("no JSON", "{}", "[1]"):
        (tmp_path / "run.json").write_text(wrong)
        assert deident(*out, tmp_path / "wrong", "--summary", tmp_path / "run.json") == 2
    assert not (tmp_path / "wrong").exists()


def test_a_card_tells_what_was_measured_of_these_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "measured", lambda name: [("EER", f"of {name}")])
    for preset, alone in (("training", "training"), ("strong", "strong"), ("review", "review")):
        summary = {"version": "1", "dropped_seconds": {}, "settings": Policy.preset(preset).to_mapping()}
        assert f"| EER | of {alone} |" in card.card([], json.loads(json.dumps(summary)))
    for settings in (
        Policy(disguise=Vocoder(tract=(0.9, 1.0))).to_mapping(),
        Policy(disguise=Chain((Psola(), Psola()))).to_mapping(),
    ):  # fmt: skip
        summary = {"version": "1", "dropped_seconds": {}, "settings": settings}
        assert "Nothing was measured" in card.card([], json.loads(json.dumps(summary)))


def test_an_exporter_of_your_own_is_named_by_its_module(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    assert deident("export", store, "--to", "tests.test_exporters:count_lines", *out) == 0
    assert (tmp_path / "out" / "count").read_text() == "4\n"
    for name in ("nothing", "tests.test_datasets:absent", "absent:write"):
        assert deident("export", store, "--to", name, *out) == 2
    assert f"expected a format of {', '.join(EXPORTERS)}" in capsys.readouterr().err


def count_lines(items: Iterable[Item], out: Path) -> int:
    """Write the number of snippets: an exporter that is no part of the package."""
    count = len(list(items))
    with package(out) as folder:
        folder.put_lines("count", [str(count)])
    return count


def test_round_trips_are_equal(store: Path, tmp_path: Path) -> None:
    items = read_items(store)
    lines = {(id, " ".join(str(text).split()), *rest) for id, text, *rest in spread(items)}
    for name, module in (("kaldi", kaldi), ("lhotse", lhotse)):
        export(items, name, tmp_path / name)
        assert turns(module.read(tmp_path / name, ["gender"])) == lines
    cuts = lhotse.read(tmp_path / "lhotse" / "cuts.jsonl.gz", ["gender"])
    assert turns(cuts) == lines
    assert all(t.words == (Word(t.words[0].segment, "one"),) for r in cuts for t in r.turns)
    export(items, "nemo", tmp_path / "nemo")
    back = nemo.read(tmp_path / "nemo" / "manifest.json", ["gender", "duration"])
    assert {(Path(r.path).stem, t.text, t.speaker, t.labels["gender"]) for r in back for t in r.turns} == {
        row[:4] for row in lines
    }
    # and once more through the whole of it: what was written is a data set like any other
    again = Policy(disguise=Sine(), scope="speaker", carry=("text",))
    run(kaldi.read(tmp_path / "kaldi"), tmp_path / "again", again, key=KEY, jobs=1)
    assert {i.text for i in read_items(tmp_path / "again")} == {row[1] for row in lines}


def test_kaldi_is_sorted_and_whole(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    items = read_items(store)
    export(items[::-1], "kaldi", "data/dev_anon")
    out = tmp_path / "data" / "dev_anon"
    for name in ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "text", "spk2gender", "ctm"):
        lines = (out / name).read_bytes().splitlines()
        assert lines == sorted(lines)
    utterances = kaldi.read_folder(out).utterances
    assert all(u.id.startswith(f"{u.speaker}-") for u in utterances)
    assert (out / "wav.scp").read_text().split()[1].startswith("data/dev_anon/wav/")
    corpus = read_corpus(out)  # the evaluation reads it too
    assert {u.transcript for u in corpus.utterances} == {" ".join(t.split()) for t in TEXTS.values()}
    assert {u.sex for u in corpus.utterances} == {"F", "M"}


def test_a_snippet_that_changed_is_not_passed_on(store: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    items = [replace(item, sha256="0" * 64) for item in read_items(store)]
    with pytest.raises(StoreError, match="audit"):
        export(items, "nemo", tmp_path / "x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="store"):
        read_items(tmp_path)


def test_ids_that_could_go_elsewhere_are_refused(store: Path) -> None:
    from deident.datasets.items import with_ids
    from deident.store import Link

    def link(*ids: str) -> Link:
        return Link(
            "", "", "", "", "anna", tuple(i.name for i in read_items(store)[: len(ids)]), 0, utterances=ids
        )

    assert [i.id for i in with_ids(read_items(store), [link("u2", "u1")])] == ["u1", "u2"]
    for bad in (("../x",), (".x",), ("a b",), ("a\n",), ("same", "same")):
        with pytest.raises(SettingError):
            with_ids(read_items(store), [link(*bad)])
    with pytest.raises(SettingError, match="no ids"):
        with_ids(read_items(store), [link()])


@pytest.mark.parametrize(
    "name",
    ["../victim", "audio/../../victim", "{place}/victim", ".hidden", "audio/.hidden", "a\\b", "a b", "e\u0301",
     "\u00e9", "nul\0", "", "x" * 101, "a.", "con", "audio/Aux.wav", "lpt1.x"],
)  # fmt: skip
def test_a_file_of_another_name_is_not_written(name: str, tmp_path: Path) -> None:
    with package(tmp_path / "below" / "out") as folder:
        folder.put("right", b"")
        with pytest.raises(StoreError, match="names of letters"):
            folder.put(name.format(place=tmp_path), b"private")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["below", "out", "right"]


@pytest.mark.parametrize(
    ("label", "name"),
    [("../../victim", None), ("a\nb c", None), ("x" * 500, None), (None, "../x.wav"), (None, "x./y")],
)
@pytest.mark.parametrize("to", ["kaldi", "webdataset", "nemo"])
def test_a_manifest_that_was_tampered_with_leads_nowhere_else(
    label: str | None, name: str | None, to: str, store: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "below" / "copy"
    shutil.copytree(store, copy)
    rows = [json.loads(line) for line in (copy / "manifest.jsonl").read_text().split("\n") if line]
    for row in rows:
        row["labels"]["speaker"] = label or row["labels"]["speaker"]
        row["name"] = name or row["name"]
    (copy / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if name:
        with pytest.raises(StoreError, match="audit"):
            read_items(copy)
        return
    items = read_items(copy)
    assert all(
        re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", word) for i in items for word in (i.id, str(i.speaker))
    )
    export(items, to, tmp_path / "below" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.parent in (tmp_path, copy.parent)) == [
        "below", "copy", "out",
    ]  # fmt: skip


def test_webdataset_samples_have_one_stem(store: Path, tmp_path: Path) -> None:
    from deident.datasets import webdataset

    assert webdataset.write(read_items(store), tmp_path / "w", shard=3) == 4
    shards = sorted(p.name for p in (tmp_path / "w").iterdir())
    assert shards == ["shard-000000.tar", "shard-000001.tar"]
    with tarfile.open(tmp_path / "w" / shards[0]) as archive:
        members = archive.getmembers()
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    stems = [m.name.partition(".")[0] for m in members]
    assert stems == sorted(stems)
    assert [m.name.partition(".")[2] for m in members[:3]] == ["wav", "json", "txt"]


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_export_describes_its_files_for_machines(name: str, store: Path, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    export(read_items(store), name, out)
    told = json.loads((out / "croissant.json").read_text())
    assert "not anonymous" in told["rai:personalSensitiveInformation"]
    kinds = [(kind["includes"], kind["@id"]) for kind in told["distribution"]]
    for path in out.rglob("*"):
        if path.is_file() and path.name != "croissant.json":
            own = [id for names, id in kinds if path.name in names or path.match(str(names))]
            assert len(own) == 1, path.name
    if name == "parquet":
        import pyarrow.parquet

        columns = set(pyarrow.parquet.read_schema(out / "data-00000.parquet").names)
        [records] = told["recordSet"]
        assert {field["source"]["extract"]["column"] for field in records["field"]} == columns - {"words"}
    export(read_items(store), name, tmp_path / "again")
    assert (out / "croissant.json").read_bytes() == (tmp_path / "again" / "croissant.json").read_bytes()


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore")
def test_croissant_reads_what_describes_parquet(store: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    pytest.importorskip("pyarrow")
    export(read_items(store), "parquet", tmp_path / "out")
    found = mlcroissant.Dataset(tmp_path / "out" / "croissant.json")
    assert not found.metadata.ctx.issues.errors
    ids = {record["snippets/id"].decode() for record in found.records("snippets")}
    assert ids == {item.id for item in read_items(store)}
