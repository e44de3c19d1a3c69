"""Appends and rewritings of sealed logs that were stopped: set aside before the next, and nothing lost."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deident.errors import StoreError
from deident.store import Disk, Sealed
from deident.store.chain import HEAD_BYTES, HEADS
from deident.store.log import Record
from deident.store.objects import Objects
from tests.test_sealed import KEY, InBucket, InFile, filled, refuses
from tests.test_store import Stopped, StoppingDisk


def test_an_append_that_did_not_finish_is_set_aside_before_the_next(tmp_path: Path) -> None:
    kept = InFile(tmp_path, "linkage")
    before = filled(kept)["log"]
    kept.add(20)
    after = kept.files()["log"]
    header = before.index(b"\n") + 1 + 24 + HEADS * HEAD_BYTES
    for size in range(len(before), len(after) + 1):  # the head is written last
        cut = before[:header] + after[header:size]
        kept.put({"log": cut})
        whole = [*range(20), *([20] if size == len(after) else [])]
        assert kept.opened() == whole
        assert kept.files() == {"log": cut}
        kept.add(99)
        assert kept.opened() == [*whole, 99]
        aside = [data for name, data in kept.files().items() if name.endswith(".unfinished")]
        assert aside == ([after[len(before) : size]] if len(before) < size < len(after) else [])


def test_more_than_one_block_that_no_head_counts_is_no_append(tmp_path: Path) -> None:
    kept = InFile(tmp_path, "linkage")
    before = filled(kept)["log"]
    header = before.index(b"\n") + 1 + 24 + HEADS * HEAD_BYTES
    kept.add(20)
    one = len(kept.files()["log"])
    kept.add(21)
    after = kept.files()["log"]
    for size in range(one + 1, len(after) + 1):
        assert refuses(kept, {"log": before[:header] + after[header:size]})


def test_an_object_that_was_put_in_part_is_set_aside_before_the_next() -> None:
    kept = InBucket()
    before = filled(kept)
    kept.add(20)
    after = kept.files()
    (new,) = after.keys() - before.keys()
    for size in (0, 1, 3, 4, 20, len(after[new]) - 1, len(after[new])):
        files = {**before, new: after[new][:size]}
        kept.put(files)
        whole = [*range(20), *([20] if size == len(after[new]) else [])]
        assert kept.opened() == whole
        assert kept.files() == files
        kept.add(99)
        assert kept.opened() == [*whole, 99]
        aside = [data for name, data in kept.files().items() if name.endswith(".unfinished")]
        assert aside == ([after[new][:size]] if 0 < size < len(after[new]) else [])


@pytest.mark.parametrize("how", ["before", "after", "full"])
def test_a_stop_at_any_call_of_an_append_or_a_rewriting_loses_nothing(how: str, tmp_path: Path) -> None:
    def work(folder: Path, disk: Disk, done: list[int]) -> None:
        log = Sealed(folder / "log", KEY, "linkage", disk)
        for number in range(3):
            log.add([{"n": number}])
            done.append(number)
        log.rewrite(lambda record: None if record["n"] == 1 else record)
        done.remove(1)
        log.add([{"n": 3}])
        done.append(3)

    counting = StoppingDisk(-1, "none")
    (tmp_path / "whole").mkdir()
    work(tmp_path / "whole", counting, [])
    for stop_at in range(1, counting.calls + 1):
        done: list[int] = []
        folder = tmp_path / str(stop_at)
        folder.mkdir()
        with contextlib.suppress(Stopped, StoreError):
            work(folder, StoppingDisk(stop_at, how), done)
        log = Sealed(folder / "log", KEY, "linkage")
        found = [record["n"] for record in log.records()]
        assert found in (done, [*done, len(done)], [0, 2], [0, 2, 3]), f"stopped {how} call {stop_at}"
        assert set(found) >= set(done) - {1}
        log.add([{"n": 9}])
        assert [r["n"] for r in Sealed(folder / "log", KEY, "linkage").records()] == [*found, 9]


def test_a_rewriting_that_was_stopped_leaves_the_old_log(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = InBucket()
    filled(kept, 3)
    put: Callable[..., None] = Objects.put
    state = {"left": 0}

    def stopping(self: Objects, files: dict[str, Any]) -> None:
        state["left"] -= 1
        if state["left"] < 0:
            raise StoreError("down")
        put(self, files)

    for stop_at in range(5):
        before = kept.opened()
        state["left"] = stop_at
        monkeypatch.setattr(Objects, "put", stopping)
        try:
            kept.log.rewrite(Record("erase", names=[str(n)]) for n in before)
        except StoreError:
            assert stop_at < 5
        monkeypatch.setattr(Objects, "put", put)
        assert kept.opened() == before
        kept.log.sweep()
        assert kept.opened() == before
    kept.log.rewrite([Record("erase", names=["7"])])
    assert kept.opened() == [7]
    assert len(kept.files()) == 3
