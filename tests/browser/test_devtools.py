"""What the browser says may come late, and about another page than the one that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from devtools import Browser


class Scripted(Browser):
    """Answers as a browser does, from a list; no process is started."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.events, self.messages, self.opened = [], messages, []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        assert method == "Page.navigate"
        self.opened.append(parameters["url"])
        return {"frameId": "F", "loaderId": f"loader {len(self.opened)}"}

    def _message(self) -> dict[str, Any]:
        return self.messages.pop(0)


def lifecycle(loader: int, name: str) -> dict[str, Any]:
    found = {"frameId": "F", "loaderId": f"loader {loader}", "name": name}
    return {"method": "Page.lifecycleEvent", "params": found}


LOAD_EVENT = {"method": "Page.loadEventFired", "params": {"timestamp": 1.0}}


@pytest.mark.parametrize("late", [[], [LOAD_EVENT], [lifecycle(0, "load"), lifecycle(1, "load")]])
def test_a_page_is_open_when_its_own_load_event_came(late):
    """`late` are events of a page before it that arrive after the next one was asked for."""
    messages = [
        *late, lifecycle(1, "init"), LOAD_EVENT, lifecycle(1, "load"),
        *late, lifecycle(2, "DOMContentLoaded"), LOAD_EVENT, lifecycle(2, "load"), LOAD_EVENT,
    ]  # fmt: skip
    browser = Scripted(messages)
    browser.open(Path("/report.html"), "#here")
    assert browser.opened == ["about:blank", "file:///report.html#here"]
    assert lifecycle(2, "load") in browser.events and browser.messages == [LOAD_EVENT]
