"""The HTTP API: what `Memory` does, as far as a token goes."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from holdfast import Memory, ModelError
from holdfast.app.openapi import document
from holdfast.app.operations import OPERATIONS
from holdfast.app.server import imported as import_lines
from tests.app.conftest import ADMIN, ALICE, BOB, Http
from tests.support.fakes import ScriptedModel


def added(http: Http, text: str, user_id: str = "alice") -> str:
    memory_id: str = http.done("add", messages=text, user_id=user_id)["changes"][0]["memory_id"]
    return memory_id


def test_a_memory_lives_through_all_its_operations(http: Http) -> None:
    memory_id = added(http, "I live in Berlin")
    assert http.done("search", query="Berlin", user_id="alice")["hits"][0]["memory"]["id"] == memory_id
    assert "Berlin" in http.done("recall", query="Berlin", user_id="alice")["text"]
    changed = http.done("update", memory_id=memory_id, text="I live in Lisbon")
    assert (changed["before"], changed["after"]) == ("I live in Berlin", "I live in Lisbon")
    assert http.done("get", memory_id=memory_id)["text"] == "I live in Lisbon"
    assert [change["operation"] for change in http.done("history", memory_id=memory_id)["changes"]] == [
        "ADD",
        "UPDATE",
    ]
    http.done("undo", change_or_add_id=changed["id"])
    assert http.done("list", user_id="alice")["items"][0]["text"] == "I live in Berlin"
    http.done("delete", memory_id=memory_id)
    assert http.done("count", user_id="alice") == {"count": 0}
    assert http.done("messages", user_id="alice")["messages"][0]["message"]["content"] == "I live in Berlin"
    assert http.done("erase", user_id="alice", dry_run=True)["messages"] == 1
    assert http.done("erase", user_id="alice")["memories"] == 1
    assert http.done("messages", user_id="alice") == {"messages": []}


def test_filters_metadata_and_delete_all(http: Http) -> None:
    for text, kind in (("I play tennis", "sport"), ("I work as a nurse", "work")):
        http.done("add", messages=text, user_id="alice", metadata={"kind": kind}, infer=False)
    wanted: dict[str, Any] = {"user_id": "alice", "filters": {"kind": "sport"}}
    assert [item["text"] for item in http.done("list", **wanted)["items"]] == ["I play tennis"]
    assert len(http.done("delete_all", **wanted)["changes"]) == 1
    assert http.done("count", user_id="alice") == {"count": 1}


def test_memories_expire_and_are_listed_all_the_same(http: Http) -> None:
    kept = http.done("add", messages="I live in Berlin", user_id="alice", expires_at="P30D")["changes"][0]
    assert http.done("get", memory_id=kept["memory_id"])["expires_at"] is not None
    http.done("update", memory_id=kept["memory_id"], expires_at=None)
    assert http.done("get", memory_id=kept["memory_id"])["expires_at"] is None
    assert http.ask("add", messages="x", user_id="alice", expires_at="2001-01-01").status_code == 400


def test_who_has_memories_and_what_happened_to_them(http: Http) -> None:
    memory_id = added(http, "I live in Berlin")
    added(http, "I live in Porto", "bob")
    http.done("update", memory_id=memory_id, text="I live in Lisbon")
    assert [owner["user_id"] for owner in http.done("users")["items"]] == ["alice", "bob"]
    assert [owner["user_id"] for owner in http.done("users", BOB)["items"]] == ["bob"]
    assert [change["operation"] for change in http.done("changes")["items"]] == ["UPDATE", "ADD", "ADD"]
    assert [change["after"] for change in http.done("changes", BOB)["items"]] == ["I live in Porto"]
    assert len(http.done("changes", operation=["UPDATE", "DELETE"])["items"]) == 1
    page = http.done("changes", limit=2)
    assert len(http.done("changes", limit=2, cursor=page["next"])["items"]) == 1
    assert http.ask("changes", BOB, cursor="nonsense").status_code == 400


def test_operations_for_whoever_keeps_the_store(http: Http) -> None:
    added(http, "I live in Berlin")
    assert http.done("verify")["agree"] is True
    assert http.done("stats")["memories"] == 1
    assert http.done("optimize") == {"done": False}
    assert http.done("pending") == {"jobs": []} == http.done("failed")
    assert http.done("retry") == {"retried": 0}
    assert http.done("flush", timeout=1) == {"pending": []}


def test_a_token_opens_what_it_is_bound_to_and_nothing_else(http: Http) -> None:
    of_alice = added(http, "I live in Berlin")
    change = http.done("history", memory_id=of_alice)["changes"][0]["id"]
    assert http.done("search", ALICE, query="Berlin")["hits"][0]["memory"]["id"] == of_alice
    assert http.done("search", BOB, query="Berlin") == {"hits": []}
    assert http.done("list", BOB)["items"] == []
    assert http.done("stats", BOB)["memories"] == 0
    assert http.done("messages", BOB) == {"messages": []}
    for name, given in (
        ("get", {"memory_id": of_alice}),
        ("history", {"memory_id": of_alice}),
        ("update", {"memory_id": of_alice, "text": "of bob"}),
        ("delete", {"memory_id": of_alice}),
        ("undo", {"change_or_add_id": change}),
    ):
        assert http.ask(name, BOB, **given).status_code == 404, name
    assert http.done("get", memory_id=of_alice)["text"] == "I live in Berlin"


@pytest.mark.parametrize(
    "name", [name for name, row in OPERATIONS.items() if "user_id" in row.arguments.model_fields]
)
def test_a_token_refuses_the_ids_of_somebody_else(http: Http, name: str) -> None:
    given = {
        field: "x" for field, one in OPERATIONS[name].arguments.model_fields.items() if one.is_required()
    }
    answer = http.ask(name, BOB, **given, user_id="alice")
    assert answer.status_code == 403
    assert "this token is for user_id='bob'" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.whole])
def test_what_concerns_all_users_is_for_administrators(http: Http, name: str) -> None:
    assert http.ask(name, ALICE).status_code == 403
    assert http.ask("import", ALICE).status_code == 403
    assert http.ask("export", ALICE, everything=True).status_code == 403


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer é", f"Bearer {ADMIN}x"]
)
def test_without_a_known_token_nothing_is_told(http: Http, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode()}
    for path in ("/v1/list", "/v1/export", "/v1/import", "/v1/nonsense", "/mcp/alice"):
        answer = http.client.post(path, json={"user_id": "alice"}, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b'{"query": NaN}', "NaN is no number"),
        (b"[" * 9_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "no JSON object"),
        (b'{"user_id": "alice"}', "query: field required"),
        (b'{"query": 1, "user_id": "alice"}', "query: input should be a valid string"),
        (b'{"query": "x", "user_id": "alice", "limt": 1}', "limt: extra inputs are not permitted"),
        (b'{"query": "x", "user_id": "alice", "limit": 0}', "limit=0"),
        (b'{"query": "x"}', "whose memory?"),
        (b'{"query": "x", "user_id": "alice", "filters": {"a": {"like": 1}}}', "like"),
    ],
)
def test_a_wrong_body_is_told_in_one_message(http: Http, body: bytes, said: str) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
    answer = http.client.post("/v1/search", content=body, headers=headers)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_other_errors_have_their_status(http: Http) -> None:
    memory_id = added(http, "I live in Berlin")
    change = http.done("update", memory_id=memory_id, text="I live in Lisbon")
    http.done("update", memory_id=memory_id, text="I live in Porto")
    assert http.ask("undo", change_or_add_id=change["id"]).status_code == 409
    assert http.ask("get", memory_id="nobody").status_code == 404
    assert http.ask("dance").status_code == 404
    assert http.client.get("/nowhere").status_code == 404
    assert http.client.get("/v1/search").status_code == 405
    text = http.client.post("/v1/list", content="{}", headers={"Authorization": f"Bearer {ADMIN}"})
    assert text.status_code == 400
    assert "application/json" in text.json()["error"]["message"]


def test_a_failing_model_is_told_with_the_add_that_is_journaled(http_over: Callable[..., Http]) -> None:
    http = http_over(ScriptedModel([ModelError("the provider is down")]))
    answer = http.ask("add", messages="I live in Berlin", user_id="alice")
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["type"], error["message"]) == ("ModelError", "the provider is down")
    assert http.done("pending")["jobs"][0]["id"] == error["add_id"]
    assert http.done("pending", ALICE)["jobs"][0]["id"] == error["add_id"]
    assert http.done("pending", BOB) == {"jobs": []}


def test_a_closed_memory_is_unavailable(http: Http, memory: Memory) -> None:
    memory.close()
    assert http.ask("list", user_id="alice").status_code == 503


@pytest.mark.parametrize("length", ["told", "not told"])
def test_a_body_that_is_too_large_is_refused(http: Http, length: str) -> None:
    body = json.dumps({"messages": "x" * 10_000, "user_id": "alice"}).encode()
    content: Any = body if length == "told" else iter([body])
    for path, much in (("/v1/add", content), ("/v1/import", b"x" * 100_001)):
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        answer = http.client.post(path, content=much, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"]["type"] == "TooLargeError"
    assert http.done("count") == {"count": 0}


def test_names_that_are_not_this_servers_are_refused(http: Http) -> None:
    for host in ("evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example", "[::1"):
        answer = http.client.get("/healthz", headers={"Host": host})
        assert answer.status_code == 403, host
    for host in ("localhost:8377", "127.0.0.1", "[::1]:8377", "192.168.1.5:8377", "LOCALHOST"):
        assert http.client.get("/healthz", headers={"Host": host}).status_code == 200, host


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1234", "http://127.0.0.1.evil"]
)
def test_pages_of_other_sites_are_refused(http: Http, origin: str) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}", "Origin": origin}
    for path in ("/v1/count", "/mcp/alice"):
        assert http.client.post(path, json={}, headers=headers).status_code == 403
    assert http.client.post("/v1/count", json={}, headers=headers | {"Origin": "http://127.0.0.1"}).is_success


# -- moving -------------------------------------------------------------------------------------------------------


def exported(http: Http, **given: Any) -> str:
    answer = http.ask("export", **given)
    assert answer.status_code == 200
    return answer.text


def imported(http: Http, content: str, **query: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    answer = http.client.post("/v1/import", content=content.encode(), params=query, headers=headers)
    return [json.loads(line) for line in answer.text.splitlines()]


def test_an_export_comes_back_once(http: Http) -> None:
    memory_id = added(http, "I live in Berlin")
    added(http, "I live in Porto", "bob")
    of_alice = exported(http, user_id="alice")
    assert "Porto" not in of_alice
    assert "Porto" in exported(http, everything=True)
    http.done("erase", user_id="alice")
    *steps, last = imported(http, of_alice)
    assert steps == [{"progress": [1, 1]}]
    assert last["result"]["versions"] == 1
    assert http.done("get", memory_id=memory_id)["text"] == "I live in Berlin"
    assert imported(http, of_alice)[-1]["result"] == dict.fromkeys(
        ("messages", "jobs", "versions", "changes", "documents"), 0
    ) | {"skipped": 4}


def test_a_file_that_is_cut_or_of_somebody_else_changes_nothing(http: Http) -> None:
    added(http, "I live in Berlin")
    export = exported(http, user_id="alice")
    http.done("erase", user_id="alice")
    cut = "\n".join(export.splitlines()[:-1])
    assert "cut short" in imported(http, cut)[-1]["error"]["message"]
    assert imported(http, export, user_id="bob")[-1]["error"]["type"] == "InputError"
    assert imported(http, "")[-1]["error"]["type"] == "InputError"
    assert http.done("count") == {"count": 0}


def test_whoever_goes_in_the_middle_of_an_import_leaves_nothing_behind(
    http: Http, memory: Memory, tmp_path: Path
) -> None:
    for number in range(3):
        added(http, f"The number {number}")
    path = tmp_path / "export.jsonl"
    path.write_text(exported(http, user_id="alice"))
    http.done("erase", user_id="alice")
    cleared: list[str] = []

    async def left() -> None:
        behind = AsyncExitStack()
        behind.callback(cleared.append, "the file")
        lines = import_lines(memory, path, {}, behind)
        assert "progress" in await anext(lines)
        await lines.aclose()  # type: ignore[attr-defined]

    asyncio.run(left())
    assert cleared == ["the file"]
    assert http.done("count")["count"] in (0, 3)
    assert http.done("verify")["agree"]


def test_a_users_token_exports_what_it_is_bound_to(http: Http) -> None:
    added(http, "I live in Berlin")
    added(http, "I live in Porto", "bob")
    export = http.ask("export", BOB)
    assert "Porto" in export.text
    assert "Berlin" not in export.text
    assert http.ask("export", BOB, user_id="alice").status_code == 403


# -- the description ----------------------------------------------------------------------------------------


def test_results_have_the_form_that_the_description_tells(http: Http) -> None:
    memory_id = http.done("add", messages="I live in Berlin", user_id="alice", metadata={"a": 1})["changes"][
        0
    ]["memory_id"]
    given: dict[str, dict[str, Any]] = {
        "search": {"query": "Berlin", "user_id": "alice", "explain": True},
        "recall": {"query": "Berlin", "user_id": "alice"},
        "list": {"user_id": "alice"},
        "get": {"memory_id": memory_id},
        "history": {"memory_id": memory_id},
        "messages": {"user_id": "alice"},
        "update": {"memory_id": memory_id, "text": "I live in Lisbon"},
        "delete": {"memory_id": memory_id},
        "erase": {"user_id": "alice"},
        "flush": {},
        "users": {},
        "changes": {},
        "add": {"messages": "I live in Rome", "user_id": "alice"},
    }
    described = document()
    for name, arguments in given.items():
        body = described["paths"][f"/v1/{name}"]["post"]["responses"]["200"]["content"]["application/json"]
        schema = {**body["schema"], "components": described["components"]}
        jsonschema.validate(http.done(name, **arguments), schema, jsonschema.Draft202012Validator)


def test_the_description_names_every_operation_and_asks_nobody_else(http: Http) -> None:
    described = http.client.get("/openapi.json").json()
    assert {path.removeprefix("/v1/") for path in described["paths"]} == {*OPERATIONS, "export", "import"}
    page = http.client.get("/docs").text
    assert all(f"/v1/{name}" in page for name in OPERATIONS)
    assert not re.search(r"""(src|href|url|@import)\W*=?\W*["'(]?(https?:)?//""", page)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if hasattr(Memory, f"a{name}")])
def test_defaults_that_are_told_are_those_of_memory(name: str) -> None:
    signature = inspect.signature(getattr(Memory, name)).parameters
    for field, told in OPERATIONS[name].arguments.model_fields.items():
        if not told.is_required():
            default = signature[field].default
            assert told.default == (list(default) if isinstance(default, tuple) else default), field


def test_tokens_are_read_from_a_file(tmp_path: Path) -> None:
    from holdfast import InputError
    from holdfast.app.access import Grant, read_tokens
    from holdfast.types import Scope

    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([{"token": ALICE, "user_id": "alice"}, {"token": ADMIN, "admin": True}]))
    assert read_tokens(path) == {ALICE: Grant(Scope("alice")), ADMIN: Grant()}
    wrong: list[Any] = [
        [],
        {},
        [{"token": "short", "user_id": "alice"}],
        [{"token": ALICE}],
        [{"token": ALICE, "user_id": "alice", "admin": True}],
        [{"token": ALICE, "user": "alice"}],
        [{"token": ALICE, "user_id": " "}],
        [{"token": ALICE, "user_id": 7}],
        [{"token": ALICE, "user_id": "alice"}, {"token": ALICE, "admin": True}],
        ["x"],
    ]
    for rows in wrong:
        path.write_text(json.dumps(rows))
        with pytest.raises(InputError) as told:
            read_tokens(path)
        assert ALICE not in str(told.value)
    path.write_text("{")
    with pytest.raises(InputError):
        read_tokens(path)
    with pytest.raises(InputError):
        read_tokens(tmp_path / "missing")
