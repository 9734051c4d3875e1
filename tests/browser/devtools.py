"""A headless Chromium over its DevTools pipe, with the standard library alone."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from children import start

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip

# The browser reads its commands from file 3 and writes its answers to file 4.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, end in enumerate(ends, 3):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page of one browser. `events` are what the page reported: console, log, requests."""

    def __init__(self, profile: Path, patience: float = 60.0) -> None:
        assert CHROMIUM is not None
        from_browser, to_us = os.pipe()
        from_us, to_browser = os.pipe()
        self._in, self._out, self._patience = from_browser, to_browser, patience
        self._buffer = bytearray()
        self._last = 0
        self.events: list[dict[str, Any]] = []
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"]
        self._process = start(
            "-ISc", _LAUNCH, str(from_us), str(to_us), *command,
            pass_fds=(from_us, to_us), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(from_us)
        os.close(to_us)
        self._session: str | None = None
        try:
            self._attach()
        except BaseException:
            self._end()
            raise

    def _attach(self) -> None:
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def _end(self) -> None:
        os.close(self._out)  # the browser ends when nobody speaks to it any more
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._session = None
        try:
            self.call("Browser.close")
        finally:
            self._end()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, path: Path, hash: str = "") -> None:
        """Open a file and wait until it has loaded: it, and not the page before."""
        for url in ("about:blank", path.as_uri() + hash):  # a new hash alone would not load
            self.events.clear()
            loader = self.call("Page.navigate", url=url)["loaderId"]
            while not self._loaded(loader):
                self.events.append(self._message())

    def _loaded(self, loader: str) -> bool:
        """Whether the document that a navigation began has fired its load event."""
        return any(
            (event["loaderId"], event["name"]) == (loader, "load")
            for event in self.seen("Page.lifecycleEvent")
        )

    def run(self, script: str) -> Any:
        """The value of a script's last expression; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": "\r", "windowsVirtualKeyCode": 13} if key == "Enter" else {}
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **text)

    def type(self, text: str) -> None:
        """Type a text into the field that has the focus."""
        self.call("Input.insertText", text=text)

    def screen(self, width: int, height: int, scheme: str = "light", media: str = "") -> None:
        """The size of the window, whether it is dark, and whether it is paper ("print")."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Move the mouse, or press or release its button."""
        button = "none" if kind == "mouseMoved" else "left"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)

    def seen(self, method: str) -> list[dict[str, Any]]:
        """The parameters of the events of a kind."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def _message(self) -> dict[str, Any]:
        end = time.monotonic() + self._patience
        seen = 0
        while (length := self._buffer.find(0, seen)) < 0:
            seen = len(self._buffer)
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._in, 1 << 20) if ready else b""
            assert part, "the browser does not answer"
            self._buffer += part
        message: dict[str, Any] = json.loads(self._buffer[:length])
        del self._buffer[: length + 1]
        return message
