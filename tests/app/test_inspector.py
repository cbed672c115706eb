"""The inspector's pages: what they show and to whom, what their forms do, and that every text stays text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from holdfast import InputError, Memory, Message, ModelError
from holdfast.app.access import Access, Grant
from holdfast.app.failures import AccessError
from holdfast.app.inspector.differences import differences
from holdfast.app.inspector.pages import routes
from holdfast.app.inspector.plots import Span, parts, short, stacked
from holdfast.app.server import Limits, Service, application
from holdfast.app.visits import IDLE, LINK, Visits
from holdfast.types import Day, Usage
from tests.app.conftest import ADMIN, ALICE, BOB, GRANTS, HERE
from tests.reliability.test_poisoning import CASES
from tests.support.fakes import HashEmbedder, ScriptedModel, Ticking, facts

HOSTILE = [
    "<script>window.poisoned = 1</script>",
    "\"><img src=x onerror='window.poisoned = 1'>",
    "'-alert(1)-'",
    "</title></textarea></style><script src=//evil.example></script>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eright to left\u202c &amp; <!-- ]]>",
]


@dataclass
class Browser:
    """Somebody at the pages."""

    client: TestClient
    service: Service

    def get(self, path: str, status: int = 200) -> str:
        answer: Any = self.client.get(path)
        assert answer.status_code == status, answer.text
        return str(answer.text)

    def enter(self, token: str) -> Browser:
        self.client.cookies.clear()
        answer = self.client.post("/login", data={"token": token})
        assert answer.status_code == 200
        return self

    @property
    def form(self) -> str:
        found = re.search(r'name="form" value="([^"]+)"', self.get("/"))
        assert found
        return found[1]

    def send(self, path: str, **fields: str) -> httpx.Response:
        answer: Any = self.client.post(path, data={"form": self.form, **fields})
        return answer


@pytest.fixture
def opened() -> Iterator[Callable[[Memory], Browser]]:
    clients: list[TestClient] = []

    def over(memory: Memory) -> Browser:
        service = Service(memory, Access(GRANTS), limits=Limits(call=10_000))
        clients.append(TestClient(application(service, routes=routes()), base_url=HERE))
        return Browser(clients[-1], service)

    yield over
    for client in clients:
        client.close()


@pytest.fixture
def browser(memory: Memory, opened: Callable[[Memory], Browser]) -> Browser:
    return opened(memory)


def keep(memory: Memory, text: str, user_id: str = "alice", **options: Any) -> str:
    return memory.add(text, user_id=user_id, infer=False, **options)[0].memory_id


# -- letting in ---------------------------------------------------------------------------------------------------


def paths(method: str) -> list[str]:
    public = {"/login", "/link"}
    found = [one.path for one in routes() if isinstance(one, Route) and method in (one.methods or ())]
    return [path.replace("{memory_id}", "some-id") for path in found if path not in public]


@pytest.mark.parametrize("path", paths("GET"))
def test_whoever_was_not_let_in_sees_the_login_alone(browser: Browser, path: str) -> None:
    answer = browser.client.get(path, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("path", paths("POST"))
def test_no_form_works_without_a_visit_or_from_another_page(browser: Browser, path: str) -> None:
    assert browser.client.post(path, data={"form": "x"}).status_code == 401
    browser.enter(ADMIN)
    form = browser.form
    for fields in ({}, {"form": ""}, {"form": "guessed"}, {"form": "é"}):
        assert browser.client.post(path, data=fields).status_code == 403
    elsewhere = {"Origin": "http://evil.example"}
    assert browser.client.post(path, data={"form": form}, headers=elsewhere).status_code == 403


def test_a_link_opens_once_and_looking_at_it_does_not_use_it_up(browser: Browser) -> None:
    path = browser.client.post("/link", headers={"Authorization": f"Bearer {ADMIN}"}).json()["path"]
    assert browser.client.head(path).status_code == 200
    assert "Overview" in browser.get(path)
    browser.client.cookies.clear()
    assert "opened before" in browser.get(path, 401)
    assert browser.client.post("/link").status_code == 401


def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(browser: Browser) -> None:
    answer = browser.client.post("/login", data={"token": ALICE}, follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ALICE not in cookie


def test_a_wrong_token_is_told_and_a_visit_ends_when_somebody_signs_out(browser: Browser) -> None:
    assert browser.client.post("/login", data={"token": "guessed"}).status_code == 401
    browser.enter(ADMIN)
    cookies = dict(browser.client.cookies)
    browser.send("/logout")
    browser.client.cookies.update(cookies)
    assert browser.client.get("/", follow_redirects=False).status_code == 303


def test_links_and_visits_end() -> None:
    clock = [0.0]
    visits = Visits(lambda: clock[0])
    key = visits.link(Grant())
    clock[0] = LINK + 1
    with pytest.raises(AccessError, match="too old"):
        visits.enter(key)
    visit = visits.begin(Grant())
    clock[0] += IDLE - 1
    assert visits.of(visit.cookie) is visit
    clock[0] += IDLE - 1
    assert visits.of(visit.cookie) is visit
    clock[0] += IDLE + 1
    for cookie in (visit.cookie, None, ""):
        with pytest.raises(AccessError):
            visits.of(cookie)


# -- what is shown ------------------------------------------------------------------------------------------------


def test_a_memory_is_seen_from_the_overview_to_what_was_said(browser: Browser, memory: Memory) -> None:
    said = [Message("I live in Berlin", name="Ana")]
    memory_id = memory.add(said, user_id="alice", infer=False, session_id="monday")[0].memory_id
    memory.update(memory_id, "I live in Lisbon", metadata={"topic": "home"})
    browser.enter(ADMIN)
    assert 'href="/memories?user_id=alice"' in browser.get("/")
    assert f'href="/memories/{memory_id}"' in browser.get("/memories?user_id=alice")
    page = browser.get(f"/memories/{memory_id}")
    assert "I live in <del>Berlin</del><ins>Lisbon</ins>" in page
    for shown in ("Ana", "monday", "1 message behind it", "{&#34;topic&#34;: &#34;home&#34;}"):
        assert shown in page
    feed = browser.get("/changes")
    assert feed.count('<span class="badge') == 2
    assert browser.get("/changes?operation=ADD").count('<span class="badge') == 1
    assert browser.get("/changes?since=2199-01-01").count('<span class="badge') == 0


def test_a_search_shows_what_each_score_is_made_of(browser: Browser, memory: Memory) -> None:
    for text in ("I live in Berlin", "I like tea"):
        keep(memory, text)
    browser.enter(ADMIN)
    page = browser.get("/memories?user_id=alice&q=Berlin")
    assert page.index("I live in Berlin") < page.index("I like tea")
    assert '<svg class="parts"' in page
    assert 'class="fill part-dense"' in page
    rows = browser.get("/memories?user_id=alice&q=Berlin&part=1")
    assert "<html" not in rows
    assert rows.strip() in page


def test_long_lists_come_in_pages(browser: Browser, memory: Memory) -> None:
    for number in range(3):
        memory.add([f"fact {number}.{one}" for one in range(40)], user_id=f"user {number}", infer=False)
    for number in range(60):
        keep(memory, "x", f"other {number:02}")
    browser.enter(ADMIN)
    for start, row, count in (
        ("/", '<td class="number">', 63),
        ("/changes", "<li ", 180),
        ("/memories?user_id=user 1", "<li>", 40),
    ):
        seen, path = 0, start
        while path:
            page = browser.get(path)
            seen += page.count(row)
            found = re.search(r'class="pager".*?href="([^"]+)"', page)
            path = found[1].replace("&amp;", "&") if found else ""
        assert seen == count


def test_what_waits_and_what_failed_is_shown_and_tried_again(opened: Callable[[Memory], Browser]) -> None:
    model = ScriptedModel([ModelError("no <b>such</b> model")])
    with Memory(":memory:", llm=model, embedder=HashEmbedder(), model_size="large") as memory:
        with pytest.raises(ModelError):
            memory.add("I live in Berlin", user_id="alice")
        browser = opened(memory).enter(ADMIN)
        page = browser.get("/work")
        assert "no &lt;b&gt;such&lt;/b&gt; model" in page
        assert "1 attempt" in page
        assert browser.enter(BOB).get("/work").count("no &lt;b&gt;such") == 0


def test_what_was_given_up_is_tried_again(
    opened: Callable[[Memory], Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.engine.leases.RETRY_SECONDS", (0,))
    model = ScriptedModel([ConnectionError("down")] * 20)
    with Memory(":memory:", llm=model, embedder=HashEmbedder(), model_size="large") as memory:
        job = memory.add("I live in Berlin", user_id="alice", background=True)
        until(lambda: bool(memory.jobs.failed()))
        browser = opened(memory).enter(BOB)
        assert "Back to work: 0." in browser.send("/retry", id=job.id).text
        browser.enter(ADMIN)
        assert job.id in browser.get("/work")
        model.replies[:] = [facts("Lives in Berlin")]
        assert "Back to work: 1." in browser.send("/retry", id=job.id).text
        until(lambda: memory.count() == 1)
        assert "Nothing was given up." in browser.get("/work")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nobody_sees_another_users_memory(browser: Browser, memory: Memory) -> None:
    memory_id = keep(memory, "I live in Berlin")
    change = memory.history(memory_id)[0].id
    keep(memory, "I like tea", "bob")
    browser.enter(BOB)
    for path in ("/", "/?by=scope", "/changes", "/memories", "/work", "/erase", "/memories?q=Berlin"):
        page = browser.get(path)
        assert "Berlin" not in page.replace('value="Berlin"', "")
        assert "alice" not in page
    for path in ("/memories", "/changes", "/erase"):
        assert "this token is for" in browser.get(f"{path}?user_id=alice", 403)
    browser.get(f"/memories/{memory_id}", 404)
    assert browser.send("/undo", id=change).status_code == 404
    assert browser.send(f"/memories/{memory_id}/update", text="mine").status_code == 404
    assert browser.send(f"/memories/{memory_id}/forget").status_code == 404
    assert browser.send("/erase", user_id="alice", confirm="alice").status_code == 403
    assert [item.text for item in memory.get_all(user_id="alice")] == ["I live in Berlin"]


def test_what_is_wrong_is_told_on_a_page(browser: Browser) -> None:
    browser.enter(ADMIN)
    for path in (
        "/?by=day",
        "/?cursor=x",
        "/changes?operation=SING",
        "/changes?since=x",
        "/changes?cursor=x",
    ):
        assert 'role="alert"' in browser.get(path, 400)
    browser.get("/memories/nobody", 404)
    browser.get("/?days=x")
    assert "Whose memories" in browser.get("/memories")
    assert browser.client.post("/undo", content=b"form=%ff").status_code == 400
    assert browser.client.post("/undo", content=b"x" * 20_000).status_code == 413


# -- what forms do ------------------------------------------------------------------------------------------------


def test_a_memory_is_edited_forgotten_and_brought_back(browser: Browser, memory: Memory) -> None:
    memory_id = keep(memory, "I live in Berlin")
    browser.enter(ADMIN)
    answer = browser.send(f"/memories/{memory_id}/update", text="I live\r\nin Lisbon")
    assert "The memory is changed." in answer.text
    assert "The memory is changed." not in browser.get(f"/memories/{memory_id}"), "told once"
    assert (
        "Nothing was changed." in browser.send(f"/memories/{memory_id}/update", text="I live\nin Lisbon").text
    )
    assert "forgotten" in browser.send(f"/memories/{memory_id}/forget").text
    assert memory.count() == 0
    gone = memory.history(memory_id)[-1].id
    assert "Undone: 1 change." in browser.send("/undo", id=gone, memory_id=memory_id).text
    assert [item.text for item in memory.get_all(user_id="alice")] == ["I live\nin Lisbon"]
    first = memory.history(memory_id)[0].id
    assert browser.send("/undo", id=first).status_code == 409


def test_when_a_memory_expires_is_shown_and_set(browser: Browser, memory: Memory) -> None:
    memory_id = keep(memory, "I am in Berlin")
    browser.enter(ADMIN)
    path = f"/memories/{memory_id}/update"
    for given in ("2999-01-31", "P30D", " 2999-01-31 12:30 "):
        browser.send(path, text="I am in Berlin", expires=given)
        item = memory.get(memory_id)
        assert item is not None
        assert item.expires_at is not None
    shown = [browser.get(f"/memories/{memory_id}"), browser.get("/memories?user_id=alice")]
    assert all("expires" in page and "2999-01-31 12:30" in page for page in shown)
    assert 'value="2999-01-31 12:30"' in shown[0]
    until = datetime.now(UTC) + timedelta(hours=1, microseconds=1)
    memory.update(memory_id, expires_at=until)
    browser.send(path, text="I am in Bonn", expires=f"{until:%Y-%m-%d %H:%M}")  # as the form had it
    item = memory.get(memory_id)
    assert item is not None
    assert (item.text, item.expires_at, item.version) == ("I am in Bonn", until, 6)
    for wrong in ("soon", "2001-01-01"):
        assert "expires_at" in browser.send(path, text="x", expires=wrong).text
    assert browser.send("/memories/nobody/update", text="x", expires="P1D").status_code == 404
    browser.send(path, text="I am in Bonn", expires="")
    item = memory.get(memory_id)
    assert item is not None
    assert (item.text, item.expires_at, item.version) == ("I am in Bonn", None, 7)


def test_what_has_expired_is_told_apart(opened: Callable[[Memory], Browser]) -> None:
    with Memory(":memory:", llm=None, embedder=HashEmbedder(), now=Ticking()) as memory:
        memory_id = keep(memory, "I am in Berlin", expires_at="P1D")
        browser = opened(memory).enter(ADMIN)
        assert "expired" in browser.get("/memories?user_id=alice")
        assert "<dt>expired</dt>" in browser.get(f"/memories/{memory_id}")


def test_erasing_shows_what_would_go_and_wants_the_name_typed(browser: Browser, memory: Memory) -> None:
    keep(memory, "I live in Berlin", "alice", agent_id="guide")
    keep(memory, "I like tea", "bob")
    browser.enter(ADMIN)
    assert '<th>memories</th><td class="number">1</td>' in browser.get("/erase?user_id=alice&agent_id=guide")
    ids = {"user_id": "alice", "agent_id": "guide"}
    for typed in ("", "alice", "bob guide"):
        assert browser.send("/erase", **ids, confirm=typed).status_code == 400
    assert memory.count() == 2
    assert "Erased for good: 1 memories" in browser.send("/erase", **ids, confirm="alice guide").text
    assert [owner.user_id for owner in memory.users() if owner.memories] == ["bob"]
    assert browser.send("/erase", confirm="").status_code == 400
    assert memory.count() == 1


# -- every text stays text ----------------------------------------------------------------------------------


class Read(HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def harmless(page: str) -> str:
    """The text of a page on which nothing but our own script runs, and nothing leads elsewhere."""
    read = Read(page)
    for tag, attributes in read.tags:
        assert tag not in ("iframe", "object", "embed", "base", "style", "b", "memories", "system"), tag
        assert tag != "script" or attributes == {"src": "/static/inspector.js", "defer": ""}
        assert tag != "img" or attributes["src"] == "/static/icon.svg"
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
        for name in ("href", "src", "action"):
            assert attributes.get(name, "/").startswith(("/", "#"))
            assert not attributes.get(name, "/").startswith("//")
    return "".join(read.texts)


def test_texts_that_would_be_markup_stay_texts_on_every_page(browser: Browser, memory: Memory) -> None:
    browser.enter(ADMIN)
    for text in [case["text"] for case in CASES] + HOSTILE:
        name = text[:100].strip()
        said = Message(text, name=name)
        change = memory.add([said], user_id=name, session_id=name, metadata={name: text}, infer=False)[0]
        memory_id = change.memory_id
        [kept] = memory.get_all(user_id=change.scope.user_id)
        memory.update(memory_id, f"{kept.text} {kept.text}")
        whose = str(change.scope.user_id)
        assert kept.text in harmless(browser.get(f"/memories/{memory_id}"))
        rows = httpx.QueryParams({"user_id": whose, "q": text[:500], "part": "1"})
        assert kept.text in harmless(browser.get(f"/memories?{rows}"))
    for text in HOSTILE:
        ids = httpx.QueryParams({"user_id": text, "q": text})
        for path in (f"/memories?{ids}", f"/erase?{ids}", f"/changes?{ids}"):
            assert text in harmless(browser.get(path))
    for path in ("/", "/?by=scope", "/changes"):
        assert HOSTILE[0] in harmless(browser.get(path))


def test_every_answer_forbids_what_is_not_ours(browser: Browser, memory: Memory) -> None:
    memory_id = keep(memory, "I live in Berlin")
    browser.enter(ADMIN)
    for path in ("/", "/login", f"/memories/{memory_id}", "/changes", "/work", "/memories/nobody"):
        headers = browser.client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert not re.search(r"unsafe|https?:|\*", policy)
        assert headers["cache-control"] == "no-store"
    static = Path(__file__).parents[2] / "core/holdfast/app/static"
    for file in ("inspector.css", "inspector.js"):
        assert browser.client.get(f"/static/{file}").status_code == 200
        assert not re.search(r"url\(|@import|//\w", (static / file).read_text())
    assert browser.client.get("/static/../server.py").status_code == 404
    assert browser.client.get("/static/%2e%2e/server.py").status_code == 404


# -- differences and plots --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "pieces"),
    [
        ("I like tea", "I like tea", [("same", "I like tea")]),
        ("I like tea", "I like green tea", [("same", "I like "), ("new", "green "), ("same", "tea")]),
        ("a cat sat", "a dog ran", [("same", "a "), ("gone", "cat sat"), ("new", "dog ran")]),
        ("我住在柏林", "我住在里斯本", [("same", "我住在"), ("gone", "柏林"), ("new", "里斯本")]),
        ("", "new", [("new", "new")]),
        ("x " * 2000, "y", [("gone", "x " * 2000), ("new", "y")]),
    ],
)
def test_differences_are_told_word_by_word(before: str, after: str, pieces: list[tuple[str, str]]) -> None:
    found = differences(before, after)
    assert found == pieces
    assert "".join(text for kind, text in found if kind != "new") == before
    assert "".join(text for kind, text in found if kind != "gone") == after


def test_plots_count_what_happened() -> None:
    first = datetime(2026, 3, 1, tzinfo=UTC)
    active = [
        Day(first, {"ADD": 3}, 3, Usage(2, 100, 10)),
        Day(first + timedelta(days=2), {"DELETE": 1, "UPDATE": 1}, -1),
    ]
    span = Span.of(active, first, 4)
    assert span.known(now=7) == [8, 8, 7, 7]
    assert span.changes()["ADD"] == [3, 0, 0, 0]
    assert span.tokens() == {"input": [100, 0, 0, 0], "output": [10, 0, 0, 0]}
    assert span.totals() == {"ADD": 3, "UPDATE": 1, "DELETE": 1, "NOOP": 0}
    svg = stacked("changes", span.days, span.changes())
    assert svg.count('<rect class="fill') == 3
    assert "2026-03-03: UPDATE 1, DELETE 1" in svg
    assert [short(one) for one in (0, 7, 1234, 2_000_000, 0.5)] == ["0", "7", "1.2k", "2M", "0.5"]


def test_the_bar_of_a_score_is_as_long_as_the_score() -> None:
    widths = [
        float(one) for one in re.findall(r' width="([\d.]+)"', parts({"dense": 0.5, "keyword": 0.7, "x": -1}))
    ]
    assert widths == [50.0, 50.0]


def test_an_unknown_user_has_nothing(browser: Browser) -> None:
    browser.enter(ADMIN)
    assert "0 memories" in browser.get("/memories?user_id=nobody")
    with pytest.raises(InputError):
        browser.service.memory.get_all()
