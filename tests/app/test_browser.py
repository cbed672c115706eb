"""The inspector in a real browser: Chromium, without a window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.conftest import Serving
from tests.app.test_inspector import HOSTILE
from tests.support.browser import Tab, browser, executable

pytestmark = pytest.mark.skipif(executable() is None, reason="Chromium is not installed")
WIDTHS = (1100, 390)  # a desktop's, and a phone's


@pytest.fixture(scope="module")
def tab(shared_server: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser that opened the link that the server printed, on a memory with all kinds of texts."""
    for text in ("I live in Berlin", "I like tea", *HOSTILE):
        shared_server.ask("add", messages=text, user_id="alice", infer=False)
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        tab.open(shared_server.inspector)
        yield tab


def trouble(tab: Tab, server: Serving) -> list[object]:
    """What the browser refused or could not do, and whom it asked beside the server."""
    found: list[object] = []
    for event in tab.events:
        params = event.get("params", {})
        if event.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            found.append(params)
        if event.get("method") == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(
                (f"{server.url}/", "data:image/svg+xml")
            ):  # its own picture of a date field
                found.append(url)
    return found


def test_the_printed_link_opens_the_overview(tab: Tab, shared_server: Serving) -> None:
    assert tab.run("location.pathname") == "/"
    assert "alice" in tab.run("document.querySelector('table').innerText")
    assert trouble(tab, shared_server) == []


def test_a_search_answers_while_it_is_typed_without_a_mouse(tab: Tab, shared_server: Serving) -> None:
    tab.open(f"{shared_server.url}/memories?user_id=alice")
    tab.press("/", 191)
    tab.type("Berlin")
    tab.until("document.querySelector('.memories .score')")
    assert "Berlin" in tab.run("document.querySelector('.memories a').innerText")
    assert tab.run("document.querySelector('.parts rect').getBoundingClientRect().width") > 0
    assert tab.run("new URL(location).searchParams.get('q')") == "Berlin"
    tab.press("Tab", 9)
    tab.press("Tab", 9)
    assert "/memories/" in tab.run("document.activeElement.href")
    assert trouble(tab, shared_server) == []


def test_a_memory_is_forgotten_and_brought_back_by_its_buttons(tab: Tab, shared_server: Serving) -> None:
    [hit, *_] = shared_server.ask("search", query="tea", user_id="alice").json()["hits"]
    tab.open(f"{shared_server.url}/memories/{hit['memory']['id']}")
    tab.submit("form[action$='/forget']")
    assert "forgotten" in tab.run("document.body.innerText")
    tab.submit("li.delete form[action='/undo']")
    assert "Undone: 1 change." in tab.run("document.querySelector('[role=status]').innerText")
    assert shared_server.ask("get", memory_id=hit["memory"]["id"]).json()["text"] == "I like tea"
    assert trouble(tab, shared_server) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_a_desktop_and_no_text_of_theirs_runs(
    tab: Tab, shared_server: Serving, scheme: str
) -> None:
    grounds = set()
    for width in WIDTHS:
        tab.looks(width, 800, scheme)
        for path in ("/", "/memories?user_id=alice&q=script", "/changes", "/work", "/erase?user_id=alice"):
            tab.open(f"{shared_server.url}{path}")
            assert tab.run("document.documentElement.scrollWidth") <= width, path
            assert tab.run("window.poisoned") is None
        grounds.add(tab.run("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 1
    [red] = [int(ground.split("(")[1].split(",")[0]) for ground in grounds]
    assert (red > 200) == (scheme == "light")
    assert trouble(tab, shared_server) == []
