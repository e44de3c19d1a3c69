"""The preview page: what it holds, and what it must not hold."""

import base64
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deident
from deident import CuttingSettings, Policy, SettingError, StoreError
from deident.cli import main
from deident.disguise.naming import disguise_named
from deident.dsp.hum import remove_hum
from deident.pages import preview as preview_module
from deident.pages.page import data_slot, write_page
from deident.pages.preview import Part, preview
from deident.segmentation.mute import MuteSettings
from tests.methods import planned
from tests.test_layers import PACKAGE

SHORT = Policy(channels="split", cutting=CuttingSettings(max_seconds=1.8, min_seconds=1.2))


def data_of(html: str) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def samples_of(voice: Any) -> np.ndarray:
    return np.frombuffer(base64.b64decode(voice["wav"])[44:], "<i2").astype(np.float32) / 32_768.0


def test_what_was_measured_stands_beside_the_players(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {name: disguise_named(name) for name in ("vocoder", "psola", "strong", "psola:semitones=2..3")}
    monkeypatch.setattr(
        preview_module,
        "measured",
        lambda name: {"review": [("EER", "14")], "psola": [("EER", "2")]}.get(name, []),
    )
    part = Part(snippets=1)
    made = data_of(preview(recordings / "call.wav", disguises=names, part=part).html)
    told = {voice["name"]: voice["protection"] for voice in made["snippets"][0]["voices"]}
    assert told == {"vocoder": "14", "psola": "2", "strong": "", "psola:semitones=2..3": ""}


@pytest.mark.parametrize("name", ["vocoder", "review"])
def test_the_figure_beside_the_default_is_an_equal_error_rate(name: str) -> None:
    assert re.match(r"\d+\.\d \[\d", preview_module._protection(name))


def test_every_page_has_the_choice_of_colours() -> None:
    templates = sorted((PACKAGE / "pages").glob("*.html"))
    assert len(templates) >= 5
    for template in templates:
        assert template.read_text().count("{{THEME}}") == 1


def test_it_shows_what_a_run_would_keep_and_drop(recordings: Path) -> None:
    tally = planned(recordings / "call.wav", SHORT)
    made = preview(recordings / "call.wav", SHORT)
    data = data_of(made.html)
    assert made.snippets == len(data["snippets"]) == tally.snippets
    for reason in ("too_short", "over_limit"):
        seconds = sum(drop["stop"] - drop["start"] for drop in data["drops"] if drop["reason"] == reason)
        assert seconds == pytest.approx(tally.dropped_seconds[reason], abs=0.01)
    assert sum(s["stop"] - s["start"] for s in data["speech"]) == pytest.approx(
        tally.speech_seconds, abs=0.01
    )
    kept = sum(s["stop"] - s["start"] for s in data["snippets"])
    assert kept == pytest.approx(tally.released_seconds, abs=0.01)


def test_what_is_muted_is_as_in_a_run(recordings: Path) -> None:
    """Muted ranges are silent in the original too; a snippet of nothing else is dropped; or a tone is there."""
    sound, whole = deident.read(recordings / "call.wav"), data_of(preview(recordings / "call.wav").html)
    first = whole["snippets"][0]
    mute = [deident.Segment(round(first["start"] * 16_000), round(first["stop"] * 16_000))]
    last = whole["snippets"][-1]
    middle = round((last["start"] + last["stop"]) * 8_000)
    mute.append(deident.Segment(middle, middle + 8_000))
    for channels in ("mix", "split"):
        policy = deident.Policy(channels=channels)  # type: ignore[arg-type]
        tally = planned(recordings / "call.wav", policy, mute=mute)
        page = preview(recordings / "call.wav", policy, mute=mute, include_original=True, disguises={}).html
        made = data_of(page)
        assert len(made["snippets"]) == tally.snippets
        muted = [d["stop"] - d["start"] for d in made["drops"] if d["reason"] == "muted"]
        assert sum(muted) == pytest.approx(tally.dropped_seconds.get("muted", 0.0), abs=0.01)
        for snippet in made["snippets"]:
            rendering, start = samples_of(snippet["voices"][0]), round(snippet["start"] * 16_000)
            for place in mute:
                inside = rendering[max(0, place.start - start) : max(0, place.stop - start)]
                assert not inside.size or np.abs(inside).max() <= 2 / 32_768  # dither
    toned = deident.Policy(mute=MuteSettings("tone"))
    page = data_of(preview(sound, toned, mute=mute, include_original=True, disguises={}).html)
    snippet = page["snippets"][-1]
    at = middle - round(snippet["start"] * 16_000)
    assert samples_of(snippet["voices"][0])[at : at + 8_000].std() > 0.001


def test_ranges_of_another_recording_make_no_page(recordings: Path) -> None:
    with pytest.raises(deident.RecordingError, match="past the end"):
        preview(recordings / "call.wav", mute=[deident.Segment(10**6, 10**6 + 16_000)])


def test_times_hold_across_sections() -> None:
    """A recording of more than a minute is cut in sections; times still count from its beginning."""
    rng = np.random.default_rng(1)
    samples = rng.normal(0.0, 1e-4, 170 * 16_000)
    places = [(20.0, 21.0), (100.0, 101.5), (150.0, 152.0)]
    for start, stop in places:
        samples[round(start * 16_000) : round(stop * 16_000)] = 0.5
    segments = [deident.Segment(round(a * 16_000), round(b * 16_000)) for a, b in places]
    data = data_of(preview((samples, 16_000), segments=segments).html)
    assert [(s["start"], s["stop"]) for s in data["snippets"]] == places
    envelope = np.frombuffer(base64.b64decode(data["envelopes"][0]), np.uint8)
    assert envelope.size == 20 * 170
    assert [int(n) for n in np.flatnonzero(np.diff((envelope > 200).astype(int)))] == [
        20 * round(t * 10) // 10 - 1 for pair in places for t in pair
    ]
    late = data_of(preview((samples, 16_000), segments=segments, part=Part(90.0, 30.0)).html)
    assert [(s["start"], s["stop"]) for s in late["snippets"]] == places[1:2]
    assert late["goesOn"]
    assert (late["start"], late["stop"]) == (90.0, 120.0)


def test_without_leave_nothing_finer_than_50_ms_of_the_original_is_there(recordings: Path) -> None:
    html = preview(recordings / "meeting.flac").html
    data = data_of(html)
    seconds = deident.read(recordings / "meeting.flac").seconds
    assert data["envelopeStep"] == 0.05
    assert len(base64.b64decode(data["envelopes"][0])) == np.ceil(seconds / 0.05)
    assert set(data) == {
        "title", "original", "start", "stop", "goesOn", "partial", "envelopeStep", "envelopes", "speech",
        "drops", "unplayed", "snippets", "disguises", "scope", "maxSeconds", "minSeconds",
    }  # fmt: skip
    for snippet in data["snippets"]:
        assert set(snippet) == {"channel", "start", "stop", "voices"}
        assert [voice["name"] for voice in snippet["voices"]] == ["vocoder", "psola", "mcadams"]
    original = remove_hum(deident.read(recordings / "meeting.flac").mono)
    for snippet in data["snippets"]:
        piece = original[round(16_000 * snippet["start"]) : round(16_000 * snippet["stop"])]
        for voice in snippet["voices"]:
            changed = samples_of(voice)[: piece.size]
            assert abs(np.corrcoef(piece[: changed.size], changed)[0, 1]) < 0.8


def test_the_original_too_is_muted(recordings: Path) -> None:
    def rendered(mute: list[deident.Segment]) -> np.ndarray:
        """The original as far as the page has it, where it was said."""
        out = np.zeros(60 * 16_000, np.float32)
        page = preview(recordings / "meeting.flac", include_original=True, mute=mute).html
        for snippet in data_of(page)["snippets"]:
            voice = samples_of(snippet["voices"][0])
            out[round(16_000 * snippet["start"]) :][: voice.size] = voice
        return out

    before = rendered([])
    at = int(np.abs(before).argmax())
    after = rendered([deident.Segment(at, at + 800)])
    assert np.abs(after[at : at + 800]).max() <= 2 / 32_768 < 0.1 < np.abs(before[at : at + 800]).max()
    assert np.abs(after).max() > 0.05


def test_with_leave_the_original_is_what_was_said(recordings: Path) -> None:
    data = data_of(preview(recordings / "meeting.flac", include_original=True).html)
    original = remove_hum(deident.read(recordings / "meeting.flac").mono)
    for snippet in data["snippets"]:
        first, *others = snippet["voices"]
        assert first["original"]
        assert not any(voice.get("original") for voice in others)
        piece = original[round(16_000 * snippet["start"]) :][: round(16_000 * first["seconds"])]
        np.testing.assert_allclose(samples_of(first), piece, atol=4 / 32_768)


def test_a_page_stays_small(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = preview(recordings / "meeting.flac")
    few = preview(recordings / "meeting.flac", part=Part(snippets=1))
    assert (few.snippets, few.without_player) == (1, whole.snippets - 1)
    monkeypatch.setattr(preview_module, "MOST_BYTES", len(whole.html) // 2)
    half = preview(recordings / "meeting.flac")
    assert len(half.html) < 0.7 * len(whole.html)
    assert half.snippets + half.without_player == whole.snippets
    assert len(data_of(half.html)["unplayed"]) == half.without_player > 0


def test_the_command_writes_a_private_page_that_names_nothing(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "canary.wav"
    canary.write_bytes((recordings / "call.wav").read_bytes())
    command = ["preview", str(canary), "--disguise", "psola", "--seconds", "8"]
    assert main(command) == 0
    page = tmp_path / "preview.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "canary" not in page.read_text()
    assert str(tmp_path) not in page.read_text()
    said = capsys.readouterr()
    assert "the original is left out" in said.err
    assert "canary" not in said.out + said.err
    assert main([*command, "--show-paths", "--include-original"]) == 0
    assert "Preview of canary.wav" in page.read_text()
    assert "holds the original voice" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["canary.wav", "preview.html"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "call.wav"], "ending in .html"),
        (["--out", "nowhere/page.html"], "make it first"),
        (["--out", "link.html"], "not a file"),
        (["--seconds", "0"], "seconds to show"),
        (["--start", "-1"], "a start from 0"),
        (["--start", "500"], "ends before"),
        (["--snippets", "0"], "snippets to play"),
        (["--disguise", "none"], "expected a disguise"),
        (["--disguise", ",".join(["psola"] * 9)], "at most 8"),
    ],
)
def test_wrong_calls_write_nothing(
    arguments: list[str],
    said: str,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.html").symlink_to(tmp_path / "elsewhere")
    assert main(["preview", str(recordings / "call.wav"), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["link.html"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "page.html"
    write_page(place, "before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_page(place, "after")
    assert place.read_text() == "before"
    assert os.listdir(tmp_path) == ["page.html"]


def test_data_cannot_leave_its_script() -> None:
    title = "</script><!-- <script>{{POLICY}}{{STYLE}}{{DATA}}"
    text = data_slot({"title": title})
    assert "<" not in text
    assert json.loads(text) == {"title": title}
    samples = np.zeros(16_000)
    assert data_of(preview((samples, 16_000), title=title).html)["title"] == title


def test_templates_fetch_nothing() -> None:
    for template in PACKAGE.glob("*.html"):
        text = template.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.|\bimport\(|fetch\(|@import", text), template.name


def test_a_real_meeting_has_a_page(speech: Path) -> None:
    recording = sorted((speech / "meeting").glob("*.flac"))[0]
    made = preview(recording, part=Part(seconds=20.0), include_original=True)
    assert made.snippets >= 2
    assert len(made.html) < 20e6


def test_the_part_is_checked() -> None:
    for wrong in ({"seconds": 0.0}, {"seconds": 1e6}, {"start_seconds": -1.0}, {"snippets": 0}):
        with pytest.raises(SettingError):
            Part(**wrong)  # type: ignore[arg-type]
