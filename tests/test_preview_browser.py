"""The preview page in a real browser, which draws and plays it."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from deident.disguise import DISGUISES
from deident.pages.page import write_page
from deident.pages.preview import preview
from tests.browser import BOXES, Page, overlapping
from tests.test_preview import SHORT, data_of


@pytest.fixture(scope="module")
def page_file(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("preview") / "page.html"
    write_page(place, preview(recordings / "call.wav", SHORT, include_original=True).html)
    return place


def test_a_browser_draws_and_plays_the_page(page_file: Path, chromium: Page) -> None:
    data = data_of(page_file.read_text())
    voices = [voice for snippet in data["snippets"] for voice in snippet["voices"] if "wav" in voice]
    assert len(voices) >= 8
    chromium.show(1280)
    chromium.open(page_file)
    chromium.until("document.body.dataset.drawn === 'yes'")
    colours = chromium.ask("""[...document.querySelectorAll("canvas")].map(canvas => new Set(new Uint32Array(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)""")
    assert len(colours) == len(voices)
    assert min(colours) > 50
    lengths = chromium.ask("""(async () => {
        const lengths = [];
        for (const button of document.querySelectorAll("button.play")) {
            const loaded = new Promise(done => player.addEventListener("loadedmetadata", done, {once: true}));
            button.click();
            await loaded;
            lengths.push(player.duration);
        }
        return lengths;
    })()""")
    assert lengths == pytest.approx([voice["seconds"] for voice in voices], abs=1e-3)
    chromium.until("player.currentTime > 0.1 && !player.paused")
    chromium.until("parseFloat(current.line.style.left) > 0")
    lines = chromium.ask(
        '[...document.querySelectorAll(".pitch path.f0")].map(path => path.getTotalLength())'
    )
    assert len(lines) == len(voices)
    drawn = [voice for s in data["snippets"] for voice in reversed(s["voices"]) if "wav" in voice]
    for line, voice in zip(lines, drawn, strict=True):  # a drawn voice may be too rough to have a pitch
        assert (line > 0.0) == any(one and other for one, other in pairwise(voice["f0"]))
        assert line > 20.0 or voice["name"] != "original"
    assert chromium.ask('document.querySelectorAll("#timeline a").length') == len(data["snippets"])
    assert chromium.ask('document.querySelectorAll("#drops tbody tr").length') == len(data["drops"]) > 0
    assert chromium.complaints == []
    assert {url for url in chromium.fetched if not url.startswith("blob:")} == {page_file.as_uri()}


def test_the_page_is_played_by_keys(page_file: Path, chromium: Page) -> None:
    chromium.open(page_file)
    chromium.until("document.body.dataset.drawn === 'yes'")
    chromium.press(" ")
    chromium.until("current === rows[0] && !player.paused")
    chromium.press(" ")
    chromium.until("player.paused")
    chromium.press("j")
    chromium.until("current.snippet === 1 && current.voice.name === 'original' && !player.paused")
    chromium.press("3")
    chromium.until("current.snippet === 1 && current.voice.name === 'psola' && !player.paused")
    chromium.press(" ")
    chromium.until("current.voice.name === 'psola' && player.paused")
    chromium.press("k")
    chromium.until("current.snippet === 0 && current.voice.name === 'psola'")
    assert chromium.complaints == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_wide_and_narrow_screens(
    width: int, dark: bool, page_file: Path, chromium: Page
) -> None:
    chromium.show(width, dark=dark)
    chromium.open(page_file)
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    shade = chromium.ask("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", shade)[:3])) < 3 * 128) == dark
    assert chromium.ask('document.querySelector("canvas").clientWidth') > 200


@pytest.mark.parametrize("system", [False, True])
def test_colours_are_those_that_were_chosen(system: bool, page_file: Path, chromium: Page) -> None:
    chromium.show(1280, dark=system)
    chromium.open(page_file)
    for choice, dark in (("dark", True), ("light", False), ("auto", system)):
        chromium.ask(f"document.querySelector('#theme').value = '{choice}'")
        colours = [
            chromium.ask(f"getComputedStyle({place})['{name}']")
            for place, name in (
                ("document.body", "backgroundColor"), ("document.querySelector('article')", "backgroundColor"),
                ("document.body", "color"),
            )
        ]  # fmt: skip
        back, card, text = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
        assert (back < 3 * 128, card < 3 * 128, text > 3 * 128) == (dark, dark, dark)
    assert chromium.complaints == []


@pytest.mark.parametrize("width", [1280, 400])
def test_labels_lie_over_nothing(width: int, page_file: Path, chromium: Page) -> None:
    chromium.show(width)
    chromium.open(page_file)
    texts, names = (chromium.ask(BOXES % query) for query in ("#timeline text", "#timeline > svg > text"))
    assert not overlapping(texts)
    waves = chromium.ask(BOXES.replace("text.textContent && ", "") % "#timeline .wave")
    assert waves
    assert len(names) > 2
    for left, right, top, bottom in names:
        assert not any(min(bottom, w[3]) - max(top, w[2]) > 1 and w[0] < right and w[1] > left for w in waves)
    numbers = chromium.ask('[...document.querySelectorAll("#timeline a text")].map(text => text.textContent)')
    assert sorted(map(int, numbers)) == list(range(1, len(numbers) + 1))
    assert len(numbers) == len(data_of(page_file.read_text())["snippets"])
    pitch = chromium.ask(BOXES % ".pitch text.hz")
    curves = chromium.ask(
        '[...document.querySelectorAll(".pitch svg")].map(svg => svg.getBoundingClientRect().left)'
    )
    assert (width == 400) == (not pitch)
    assert all(box[1] <= max(curves) for box in pitch)
    lines = chromium.ask("""[...document.querySelectorAll(".pitch .soft")].flatMap(text => {
        const words = document.createRange();
        words.selectNodeContents(text);
        return [...words.getClientRects()].map(box => [box.left, box.right, box.top, box.bottom]);
    })""")
    assert lines
    assert not overlapping([*lines, *pitch])


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("seconds", [0.35, 1.21, 3.55, 4.02, 9.9])
def test_times_below_the_pitch_lie_beside_each_other(
    seconds: float, width: int, page_file: Path, chromium: Page, tmp_path: Path
) -> None:
    chromium.show(width)
    (tmp_path / "one.html").write_text(
        re.sub(r'"seconds":[\d.]+', f'"seconds":{seconds}', page_file.read_text())
    )
    chromium.open(tmp_path / "one.html")
    times = chromium.ask(
        '[...document.querySelector(".pitch svg").querySelectorAll(".tick")].map(t => t.textContent)'
    )
    assert all(re.fullmatch(r"\d+(\.\d)? s", time) for time in times)
    assert 3 <= len(times) <= 14
    boxes = chromium.ask(
        "[document.querySelector('.pitch svg')].flatMap(svg => %s)"
        % (BOXES.replace("document.", "svg.") % ".tick")
    )
    assert all(right - left >= 8 for (_, left, *_), (right, *_) in pairwise(boxes))
    end = chromium.ask("document.querySelector('.pitch svg').getBoundingClientRect().right")
    assert all(box[1] <= end for box in boxes)


@pytest.mark.parametrize("starts", [(5.0, 5.2, 5.4), (5.0, 5.3, 5.31), (0.0, 0.1, 0.2)])
def test_numbers_of_narrow_snippets_do_not_read_as_one(
    starts: tuple[float, ...], page_file: Path, chromium: Page, tmp_path: Path
) -> None:
    text = page_file.read_text()
    data = data_of(text)
    one = data["snippets"][0]
    data["snippets"] = [{**one, "channel": 0, "start": s, "stop": s + 0.19} for s in starts]
    (tmp_path / "narrow.html").write_text(re.sub(r'(json">).*?(</script>)', rf"\1{json.dumps(data)}\2", text))
    chromium.show(400)
    chromium.open(tmp_path / "narrow.html")
    boxes = chromium.ask(BOXES % "#timeline a text")
    assert len(boxes) > 1
    assert all(right - left > 2 for (_, left, *_), (right, *_) in pairwise(boxes))


@pytest.mark.parametrize(("drops", "says"), [(0, "pieces"), (1, "piece"), (2, "pieces")])
def test_one_is_one(drops: int, says: str, page_file: Path, chromium: Page, tmp_path: Path) -> None:
    text = page_file.read_text()
    data = data_of(text)
    data |= {"drops": data["drops"][:drops], "disguises": data["disguises"][: 1 + drops]}
    (tmp_path / "one.html").write_text(re.sub(r'(json">).*?(</script>)', rf"\1{json.dumps(data)}\2", text))
    chromium.open(tmp_path / "one.html")
    facts = chromium.ask('document.getElementById("facts").innerText')
    assert re.search(rf"^{says} dropped, ", facts, re.M)
    assert ("\ndisguise: " if drops == 0 else "\ndisguises: ") in facts


def test_a_voice_that_nobody_attacked_says_so(recordings: Path, tmp_path: Path, chromium: Page) -> None:
    disguises = {"mine": DISGUISES["pitch_shift"](), "vocoder": DISGUISES["vocoder"]()}
    made = preview(recordings / "call.wav", SHORT, disguises=disguises, include_original=True)
    write_page(tmp_path / "page.html", made.html)
    chromium.open(tmp_path / "page.html")
    heads = chromium.ask(
        '[...document.querySelector("article").querySelectorAll(".head")].map(h => h.innerText)'
    )
    said = {head.split("\n")[0]: head.split("\n")[-1] for head in heads}
    assert said["mine"] == "EER not measured"
    assert re.match(r"EER \d", said["vocoder"])
    assert "EER" not in said["original"]


def test_a_reason_that_is_new_has_its_name(page_file: Path, chromium: Page, tmp_path: Path) -> None:
    text = page_file.read_text().replace('"reason":"too_short"', '"reason":"too_loud"')
    (tmp_path / "new.html").write_text(text)
    chromium.open(tmp_path / "new.html")
    assert "dropped: too loud" in chromium.ask('document.getElementById("legend").textContent')
    assert chromium.complaints == []


def test_what_the_policy_of_the_page_does_not_know_does_not_run(
    page_file: Path, chromium: Page, tmp_path: Path
) -> None:
    text = page_file.read_text()
    text = text.replace("</body>", '<script>document.title = "changed"</script></body>')
    text = text.replace("<main>", '<main><img src="https://example.com/x.png">')
    (tmp_path / "changed.html").write_text(text)
    chromium.open(tmp_path / "changed.html")
    assert chromium.ask("document.title") == "Preview of a recording"
    assert sum("Content Security Policy" in said for said in chromium.complaints) == 2
