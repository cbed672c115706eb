"""A headless Chromium, driven over the DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

SECONDS = 30  # for anything that the browser is asked


def executable() -> str | None:
    """The browser of this machine, where there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tab:
    """One page. `events` holds what the browser told while it was asked: requests, errors."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._connection.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (told := self._told()).get("id") != number:
            self.events.append(told)
        assert "error" not in told, told
        return told["result"]

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._connection.recv(timeout=SECONDS))
        return told

    def wait_for(self, event: str) -> None:
        while (told := self._told()).get("method") != event:
            self.events.append(told)

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        done = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression is true on the page."""
        self.run(
            f"new Promise(done => {{ const look = () => ({condition}) ? done() : setTimeout(look, 20); look(); }})"
        )

    def submit(self, form: str) -> None:
        """Press the button of a form, named by a selector, and wait for the page that it leads to."""
        self.run(f"document.querySelector({json.dumps(form)}).querySelector('button').click()")
        self.wait_for("Page.loadEventFired")

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def looks(self, width: int, height: int, scheme: str) -> None:
        """scheme: light or dark."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A new browser that knows nothing; its files lie in `profile`."""
    name = executable()
    assert name is not None
    options = (
        "--headless=new", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions",
        "--no-proxy-server", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
    )  # fmt: skip
    process = subprocess.Popen([name, *options], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = next(
            line.split()[-1] for line in process.stderr if line.startswith("DevTools listening on ")
        )
        with connect(address, max_size=None) as connection:
            yield Tab(connection)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
