"""A real Chromium, driven by the WebDriver protocol (https://www.w3.org/TR/webdriver2/) that its chromedriver speaks.

A session is a dozen requests of JSON over HTTP to a process of our own; that needs no package.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
KEYS = {
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Home": "\ue011",
    "End": "\ue010",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
    "Tab": "\ue004",
    "Control": "\ue009",
}


def programs() -> tuple[str, str]:
    """Return the paths of a chromium and its chromedriver; skip the test where there are none, in words."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
    driver = shutil.which("chromedriver") or ""
    beside = Path(chromium).parent / "chromedriver"
    if chromium and beside.exists():
        driver = str(beside)
    if chromium and driver:
        return chromium, driver
    message = "there is no chromium with its chromedriver here: scripts/chromium tells how to have one"
    if os.environ.get("CRISHIM_REQUIRE_CHROMIUM"):
        pytest.fail(message)
    pytest.skip(message)


class Browser:
    """One session. Methods are called as the protocol's commands."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self._session = ""

    def start(self, chromium: str, profile: str) -> None:
        options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"]}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{answer['sessionId']}"

    def close(self) -> None:
        if self._session:
            self._ask("DELETE", self._session)
        self._connection.close()

    def go(self, path: Path) -> None:
        self._command("url", {"url": path.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a function body in the page and return what it returns."""
        return self._command("execute/sync", {"script": script, "args": list(arguments)})

    def press(self, *keys: str) -> None:
        """Press keys, one after the other; "Control+Home" holds the first one down."""
        actions: list[dict[str, str]] = []
        for key in keys:
            parts = [KEYS.get(part, part) for part in key.split("+")]
            actions += [{"type": "keyDown", "value": part} for part in parts]
            actions += [{"type": "keyUp", "value": part} for part in reversed(parts)]
        self._command("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def write(self, text: str) -> None:
        """Type a text, character by character."""
        self.press(*text)

    def click(self, selector: str) -> None:
        found = self._command("element", {"using": "css selector", "value": selector})
        (reference,) = found.values()
        self._command(f"element/{reference}/click", {})

    def resize(self, width: int, height: int) -> None:
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name: str) -> None:
        """Have the machine prefer "dark" or "light"."""
        self.cdp("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": name}])

    def media(self, name: str) -> None:
        """Lay the page out for "print" or "screen"."""
        self.cdp("Emulation.setEmulatedMedia", media=name)

    def printed(self) -> bytes:
        """Print the page and return the PDF. The protocol's own command gives up after ten seconds; this one waits."""
        return base64.b64decode(self.cdp("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def screenshot(self) -> bytes:
        return base64.b64decode(self._command("screenshot", None))

    def complaints(self) -> list[str]:
        """Return what the browser's console has to say since it was last asked."""
        return [entry["message"] for entry in self._command("se/log", {"type": "browser"})]

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self._command("goog/cdp/execute", {"cmd": command, "params": parameters})

    def _command(self, name: str, body: Any) -> Any:
        return self._ask("GET" if body is None else "POST", f"{self._session}/{name}", body)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{path}: {answer['error']}: {answer['message']}")
        return answer


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser with a profile of its own; both are gone afterwards."""
    binary, driver = programs()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            browser = Browser(_port(process))
            browser.start(binary, profile)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            process.terminate()
            process.communicate()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"successfully on port (\d+)", line):
            return int(found[1])
    raise AssertionError("chromedriver ended before it said on which port it listens")
