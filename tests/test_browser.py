"""The browser of the tests counts for each page what that page did."""

import json
from pathlib import Path

from tests.browser import Page


def test_the_icon_of_the_page_before_is_not_of_this_one(chromium: Page, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>page<img src='own.png'>")
    chromium.open(tmp_path / "page.html")
    late = {"request": {"url": "file:///icon.png"}, "loaderId": "of the page before"}
    message = {"method": "Network.requestWillBeSent", "params": late}
    chromium._rest = json.dumps(message).encode() + b"\0" + chromium._rest  # as it comes while icons load
    assert chromium.ask("document.body.innerText") == "page"
    assert chromium.fetched == [(tmp_path / name).as_uri() for name in ("page.html", "own.png")]
