"""Sealed logs, in files and in buckets: opened as they were written, or not at all, and never changed by opening."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deident.errors import DeidentError, KeyMaterialError, StoreError
from deident.keys import Key
from deident.store import Sealed
from deident.store.chain import HEAD_BYTES, HEADS, Mark
from deident.store.log import Log, Record
from deident.store.objects import Objects

fsspec = pytest.importorskip("fsspec")

KEY = Key(bytes(32))
RECORDS = 20
Files = dict[str, bytes]


class Held:
    """An anchor in memory."""

    def __init__(self) -> None:
        self.mark: Mark | None = None

    def get(self) -> Mark | None:
        return self.mark

    def set(self, mark: Mark) -> None:
        self.mark = mark


class InFile:
    """A sealed log in a file, as the linkage and the history of reviews are."""

    def __init__(self, folder: Path, purpose: str) -> None:
        self.folder, self.purpose = folder, purpose
        self.log = Sealed(folder / "log", KEY, purpose)

    def add(self, number: int) -> None:
        self.log.add([{"n": number}])

    def files(self) -> Files:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def put(self, files: Files) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        for name, data in files.items():
            (self.folder / name).write_bytes(data)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def opened(self) -> list[int]:
        self.log = Sealed(self.folder / "log", KEY, self.purpose)
        return [record["n"] for record in self.log.records()]


class InBucket:
    """The log of a store in a bucket, an object a block."""

    def __init__(self) -> None:
        self.objects = Objects(f"memory://{uuid.uuid4().hex}")
        self.fs, self.root = self.objects._fs, self.objects._root
        self.log = Log(self.objects, KEY, "00" * 16)
        self.log.create()

    def add(self, number: int) -> None:
        self.log.put(Record("erase", names=[str(number)]))

    def files(self) -> Files:
        return {path[len(self.root) + 1 :]: self.fs.cat_file(path) for path in self.fs.find(self.root)}

    def put(self, files: Files) -> None:
        for path in self.fs.find(self.root):
            self.fs.rm_file(path)
        self.fs.pipe({f"{self.root}/{name}": data for name, data in files.items()})

    def read(self, name: str) -> bytes:
        return bytes(self.fs.cat_file(f"{self.root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        self.fs.pipe_file(f"{self.root}/{name}", data)

    def opened(self) -> list[int]:
        self.log = Log(self.objects, KEY, "00" * 16)
        return [int(record.names[0]) for record in self.log.records()]


Kept = InFile | InBucket


@pytest.fixture(params=["linkage", "reviews", "bucket"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """An empty log."""
    yield InBucket() if request.param == "bucket" else InFile(tmp_path, request.param)
    fsspec.filesystem("memory").store.clear()


def filled(kept: Kept, count: int = RECORDS) -> Files:
    for number in range(count):
        kept.add(number)
    return kept.files()


def refuses(kept: Kept, files: Files) -> bool:
    """Tell whether a log made of these files is refused. In any case it is neither read as another nor changed."""
    kept.put(files)
    refused = is_refused(kept)
    assert kept.files() == files
    return refused


def is_refused(kept: Kept) -> bool:
    try:
        assert kept.opened() == list(range(RECORDS))
    except DeidentError:
        return True
    return False


def test_every_flipped_bit_is_noticed_or_harmless(kept: Kept) -> None:
    whole = filled(kept)
    harmless = 0
    for name, data in whole.items():
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            kept.write(name, bytes(changed))
            harmless += not is_refused(kept)
            assert kept.read(name) == changed
        kept.write(name, data)
    assert kept.files() == whole
    heads = HEADS * (HEAD_BYTES + (0 if isinstance(kept, InFile) else 8))
    assert harmless == 8 * heads  # of the two heads, the other serves


def test_every_truncation_is_noticed(kept: Kept) -> None:
    whole = filled(kept)
    for name, data in whole.items():
        for size in range(len(data)):
            kept.write(name, data[:size])
            assert is_refused(kept) == ("head-" not in name)  # of two heads, the other serves
            assert kept.read(name) == data[:size]
        kept.write(name, data)
    assert kept.files() == whole
    if isinstance(kept, InBucket):
        for name in whole:
            assert refuses(kept, {n: data for n, data in whole.items() if n != name}) == ("head-" not in name)
        assert refuses(kept, {name: data for name, data in whole.items() if "head-" not in name})


def test_nothing_is_added_to_a_log_that_was_damaged(tmp_path: Path) -> None:
    kept = InFile(tmp_path, "linkage")
    data = filled(kept)["log"]
    for damaged in (data[:-1], data[:-50], data[:99], data[:-1] + b"xx", data + bytes(9), data * 2):
        kept.put({"log": damaged})
        with pytest.raises(StoreError):
            kept.log.add([{"n": 1}])
        with pytest.raises(StoreError):
            kept.log.rewrite(lambda record: None)
        assert kept.files() == {"log": damaged}


def swapped(files: Files, one: str, other: str) -> Files:
    return {**files, one: files[other], other: files[one]}


def test_blocks_in_another_order_or_of_another_log_are_noticed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bucket = InBucket()
    whole = filled(bucket)
    names = sorted(name for name in whole if "head-" not in name)
    for one, other in ((0, 1), (3, 17), (18, 19)):
        assert refuses(bucket, swapped(whole, names[one], names[other]))
    file = InFile(tmp_path, "linkage")
    data = filled(file)["log"]
    header = len(data) - sum(_sizes(data, RECORDS))
    *first, last = _sizes(data, RECORDS)
    blocks = [data[header + sum(first[:n]) :][:size] for n, size in enumerate((*first, last))]
    for order in ([1, 0, *range(2, 20)], [*range(18), 19, 18], [*range(19), 18], [*range(20), 19]):
        assert refuses(file, {"log": data[:header] + b"".join(blocks[n] for n in order)})
    kept = InFile(tmp_path_factory.mktemp("other"), "linkage")
    other = filled(kept)["log"]
    assert refuses(file, {"log": data[:header] + other[header:]})
    assert refuses(file, {"log": data[:-last] + other[-last:]})


def _sizes(data: bytes, count: int) -> list[int]:
    """Of the last blocks of a file."""
    at = data.index(b"\n") + 1 + 24 + HEADS * HEAD_BYTES
    sizes = []
    for _ in range(count):
        sizes.append(4 + int.from_bytes(data[at : at + 4], "big"))
        at += sizes[-1]
    assert at == len(data)
    return sizes


@pytest.mark.parametrize("purpose", ["linkage", "reviews"])
def test_a_file_that_is_older_than_its_store_knows_is_noticed(purpose: str, tmp_path: Path) -> None:
    path, anchor = tmp_path / "log", Held()

    def opened() -> Sealed:
        return Sealed(path, KEY, purpose, anchor=anchor)

    copies = []
    for number in range(4):
        opened().add([{"n": number}])
        copies.append(path.read_bytes())
    opened().rewrite(lambda record: None if record["n"] == 1 else record)
    copies.append(path.read_bytes())
    opened().add([{"n": 5}])
    whole = path.read_bytes()
    for copy in copies:
        path.write_bytes(copy)
        assert list(Sealed(path, KEY, purpose).records())  # whole in itself
        with pytest.raises(StoreError, match="records are missing"):
            opened()
        assert path.read_bytes() == copy
    path.write_bytes(whole)
    log = opened()
    path.unlink()
    with pytest.raises(StoreError, match="it is not there"):
        opened()
    with pytest.raises(StoreError, match="it is not there"):
        log.add([{"n": 6}])
    assert not path.exists()
    Sealed(path, KEY, purpose).add([{"n": 0}])
    with pytest.raises(StoreError, match="another one"):
        opened()
    path.write_bytes(whole)
    assert [record["n"] for record in opened().records()] == [0, 2, 3, 5]


def test_a_forked_file_is_noticed(tmp_path: Path) -> None:
    """Two copies grew on their own, to the same length."""
    path, anchor = tmp_path / "log", Held()
    Sealed(path, KEY, "linkage", anchor=anchor).add([{"n": 0}])
    copy = path.read_bytes()
    Sealed(path, KEY, "linkage", anchor=anchor).add([{"n": 1}])
    path.write_bytes(copy)
    Sealed(path, KEY, "linkage").add([{"n": 2}])
    with pytest.raises(StoreError, match="was changed"):
        Sealed(path, KEY, "linkage", anchor=anchor)
    one, other = bytearray(copy), path.read_bytes()  # the heads of one with the blocks of the other
    anchor.mark = None
    path.write_bytes(copy)
    Sealed(path, KEY, "linkage").add([{"n": 3}])
    heads = path.read_bytes()[: len(one) - sum(_sizes(bytes(one), 1))]
    path.write_bytes(heads + other[len(heads) :])
    with pytest.raises(StoreError, match="was changed"):
        Sealed(path, KEY, "linkage")


def test_other_keys_versions_and_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Sealed(path, KEY, "linkage").add([{"n": 0}])
    with pytest.raises(KeyMaterialError, match="not its key"):
        Sealed(path, Key.fresh(), "linkage")
    whole = path.read_bytes()
    for start, said in (
        (b"deident linkage 1\n", "expected version 3"),
        (b"deident reviews 3\n", "expected a file that begins"),
        (b"RIFF....", "expected a file that begins"),
        (b"", "expected a file that begins"),
    ):
        path.write_bytes(start + whole[len(start) :] if start else b"")
        before = path.read_bytes()
        with pytest.raises(StoreError, match=said):
            Sealed(path, KEY, "linkage")
        assert path.read_bytes() == before
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        Sealed(path, KEY, "linkage").add([{"n": 0}])
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_of_others_beside_a_log_is_left_alone(tmp_path: Path) -> None:
    beside = tmp_path / "log.part"
    for theirs in (b"years of work", b"deident rounds 2\n", b"deident linkage 2 is what I wrote of"):
        beside.write_bytes(theirs)
        with pytest.raises(StoreError, match="lies beside it"):
            Sealed(tmp_path / "log", KEY, "linkage").add([{"n": 0}])
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"log.part": theirs}
    beside.unlink()
    (tmp_path / "theirs").write_bytes(b"years of work")
    beside.symlink_to("theirs")
    with pytest.raises(StoreError, match="lies beside it"):
        Sealed(tmp_path / "log", KEY, "linkage").add([{"n": 0}])
    beside.unlink()
    for ours in (b"", b"deident link", b"deident linkage 3\n" + bytes(60)):  # a run that was stopped left it
        beside.write_bytes(ours)
        Sealed(tmp_path / "log", KEY, "linkage").add([{"n": 0}])
        (tmp_path / "log").unlink()
        assert not beside.exists()


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(StoreError):
        Sealed(tmp_path / "log", KEY, "linkage")


def test_many_records_at_once_are_kept(tmp_path: Path) -> None:
    log = Sealed(tmp_path / "log", KEY, "linkage")
    many = [{"n": n, "text": "x" * 1000} for n in range(3000)]
    log.add(many)
    assert list(Sealed(tmp_path / "log", KEY, "linkage").records()) == many
    log.rewrite(lambda record: record if record["n"] % 2 else None)
    assert [r["n"] for r in Sealed(tmp_path / "log", KEY, "linkage").records()] == list(range(1, 3000, 2))
    with pytest.raises(StoreError, match="at most"):
        log.add([{"text": "x" * (33 << 20)}])
