"""A real browser for the tests: headless Chromium, spoken to over a pipe (Chrome DevTools Protocol)."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--mute-audio",
    "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe",
)  # fmt: skip
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, wanted in zip(ends, (3, 4)):  # the descriptors that the protocol wants
    os.dup2(end, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 30.0
BOXES = """[...document.querySelectorAll("%s")]
    .filter(text => text.textContent && getComputedStyle(text).display !== "none")
    .map(text => text.getBoundingClientRect()).map(box => [box.left, box.right, box.top, box.bottom])"""


class Page:
    """One open page. `complaints` holds what it wrote to the console and whatever else went wrong in it, `fetched` the
    addresses that it asked for.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self._document = ""
        self._requests: list[tuple[str, str]] = []  # document, address
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, place: Path) -> None:
        self.complaints.clear()
        self._requests.clear()
        self._document = self.call("Page.navigate", url=place.as_uri())["loaderId"]
        self.until("document.readyState === 'complete'")

    @property
    def fetched(self) -> list[str]:
        """Of this page alone: the icon of the page before it may be asked for after this one was opened."""
        return [url for document, url in self._requests if document == self._document]

    def show(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def ask(self, code: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, code: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.ask(code):
            assert time.monotonic() < end, f"waited in vain for {code}; {self.complaints}"
            time.sleep(0.02)

    def press(self, key: str, text: str | None = None) -> None:
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text or key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def picture(self, *, whole: bool = True) -> bytes:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        return base64.b64decode(data)

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            assert ready, "the browser does not answer"
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        match message.get("method"), message.get("params"):
            case "Runtime.consoleAPICalled", {"type": kind, "args": said}:
                self.complaints.append(f"{kind}: {said}")
            case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                self.complaints.append(f"exception: {details}")
            case "Log.entryAdded", {"entry": entry}:
                self.complaints.append(f"{entry['level']}: {entry['text']}")
            case "Network.requestWillBeSent", {"request": {"url": url}, "loaderId": document}:
                self._requests.append((document, url))
        return message


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A page of a browser of its own, which keeps its things in `folder` and ends with the block."""
    assert CHROMIUM
    to_browser, from_browser = os.pipe(), os.pipe()
    ends = (to_browser[0], from_browser[1])
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *map(str, ends), CHROMIUM, *FLAGS, f"--user-data-dir={folder}"],
        pass_fds=ends, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    for end in ends:
        os.close(end)
    try:
        yield Page(from_browser[0], to_browser[1])
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for end in (to_browser[1], from_browser[0]):
            os.close(end)


def overlapping(boxes: list[list[float]]) -> list[tuple[list[float], list[float]]]:
    """Pairs of boxes, (left, right, top, bottom) each as `BOXES` gives them, that lie over each other."""
    return [
        (a, b) for a, b in itertools.combinations(boxes, 2)
        if min(a[1], b[1]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[2], b[2]) > 6  # of a line's height
    ]  # fmt: skip
