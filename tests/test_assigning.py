"""Assignments of snippets to reviewers: no two of one recording or speaker, whoever has had what before."""

from collections import Counter
from dataclasses import replace

import pytest

from deident.errors import SettingError
from deident.keys import Key
from deident.review import RoundSettings, assign, subjects
from deident.store import Link

KEY = Key(bytes(32))


def links(recordings: int, snippets: int, speakers: int | None = None) -> list[Link]:
    return [
        Link(
            f"{r:04x}", f"{r:04x}", f"id{r}", f"/calls/{r}.wav",
            None if speakers is None else f"s{r % speakers}",
            tuple(f"{r}-{s}.wav" for s in range(snippets)), 20_000,
        )
        for r in range(recordings)
    ]  # fmt: skip


@pytest.mark.parametrize("speakers", [None, 13])
@pytest.mark.parametrize("most", [1, 3])
def test_no_reviewer_gets_two_snippets_of_one_recording_or_speaker(speakers: int | None, most: int) -> None:
    made = links(60, 5, speakers)
    owners = {name: subjects(link, KEY) for link in made for name in link.names}
    path_of = {name: link.path for link in made for name in link.names}
    parts = assign(made, RoundSettings(("a", "b", "c"), per_reviewer=20, max_per_recording=most), KEY)
    assigned = [name for part in parts for name, _ in part.files]
    assert len(assigned) == len(set(assigned)) > 30
    assert max(Counter(path_of[name] for name in assigned).values()) <= most
    for part in parts:
        assert len(part.files) <= 20
        assert max(Counter(owner for name, _ in part.files for owner in owners[name]).values()) == 1
    fresh = [new for part in parts for _, new in part.files]
    assert len(set(fresh)) == len(fresh)
    assert not set(fresh) & set(assigned)


def test_earlier_rounds_count() -> None:
    made = links(10, 5)
    owners = {name: subjects(link, KEY) for link in made for name in link.names}
    settings = RoundSettings(("a",), per_reviewer=6)
    (first,) = assign(made, settings, KEY)
    earlier = [("a", owner) for name, _ in first.files for owner in owners[name]]
    (second,) = assign(made, settings, KEY, earlier=earlier)
    assert len(first.files) == 6
    assert len(second.files) == 4
    assert not {owners[n] for n, _ in first.files} & {owners[n] for n, _ in second.files}


def test_a_share_is_drawn_by_key_and_round() -> None:
    made = links(2_000, 1)

    def drawn(name: str, key: Key = KEY) -> set[str]:
        settings = RoundSettings(("a",), per_reviewer=2_000, share=0.1, name=name)
        return {n for n, _ in assign(made, settings, key)[0].files}

    one = drawn("one")
    assert 140 < len(one) < 260
    assert drawn("one") == one  # repeating the round draws nobody else
    assert len(drawn("two") & one) < 60
    assert drawn("one", Key.fresh()) != one


def test_people_who_opted_out_take_no_part() -> None:
    made = links(20, 2, speakers=10)
    out = frozenset({"s3", "/calls/4.wav", "id5"})
    (part, _) = assign(made, RoundSettings(("a", "b")), KEY, opted_out=out)
    assigned = {n.split("-")[0] for n, _ in part.files}
    assert assigned
    assert not assigned & {"3", "13", "4", "5"}


def test_the_snippet_of_a_recording_is_of_any_of_its_speakers() -> None:
    """A recording has a link for each of its speakers."""
    (ann,) = links(1, 2, speakers=1)
    both = [ann, replace(ann, speaker="bob", names=("bob.wav",))]
    assigned = {assign(both, RoundSettings(("a",)), KEY)[0].files[0][0] for _ in range(60)}
    assert assigned == {"0-0.wav", "0-1.wav", "bob.wav"}


def test_one_recording_under_two_records_is_one_recording() -> None:
    """Released again, with the speaker known only now; and from another path."""
    (first,) = links(1, 4)
    again = replace(first, place="ffff", speaker="ann", names=tuple(f"again-{n}.wav" for n in range(4)))
    moved = replace(first, place="eeee", path="/copies/0.wav", recording="other", names=("moved.wav",))
    for most in (1, 3):
        parts = assign([first, again, moved], RoundSettings(("a", "b", "c"), 9, most), KEY)
        assert sorted(len(part.files) for part in parts) == sorted([1] * most + [0] * (3 - most))
    twice = assign([first, first], RoundSettings(("a", "b", "c"), 9, 9), KEY)
    assigned = [name for part in twice for name, _ in part.files]
    assert len(assigned) == len(set(assigned)) == 3
    (part,) = assign([first, moved], RoundSettings(("a",)), KEY, opted_out=frozenset({"/copies/0.wav"}))
    assert not part.files


@pytest.mark.parametrize(
    "bad",
    [{"reviewers": ()}, {"reviewers": ("a", "a")}, {"reviewers": ("../x",)}, {"reviewers": ("a",), "share": 0.0},
     {"reviewers": ("a",), "per_reviewer": 0}, {"reviewers": ("a",), "name": ".."}, {"reviewers": (".a",)},
     {"reviewers": ("a",), "name": "a/b"}, {"reviewers": ("a",), "name": ""}, {"reviewers": ("a" * 101,)}],
)  # fmt: skip
def test_settings_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        RoundSettings(**bad)  # type: ignore[arg-type]


def test_one_reviewer_gets_one_speaker_of_a_recording() -> None:
    made = [
        Link(f"{r}", f"{r}", f"id{r}", f"/m/{r}.wav", f"s{(r + n) % 7}", (f"{r}-{n}.wav",), 20_000)
        for r in range(20)
        for n in range(3)
    ]
    (part,) = assign(made, RoundSettings(("a",), max_per_recording=3), KEY)
    owner_of = {name: (link.path, link.speaker) for link in made for name in link.names}
    assigned = [owner_of[name] for name, _ in part.files]
    assert len(assigned) > 3
    assert len({path for path, _ in assigned}) == len({speaker for _, speaker in assigned}) == len(assigned)
    everyone = assign(made, RoundSettings(tuple("abcdefg"), max_per_recording=2), KEY)
    counts = Counter(owner_of[name][0] for one in everyone for name, _ in one.files)
    assert max(counts.values()) <= 2
