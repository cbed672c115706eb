"""MCP, asked by the SDK's own client: in this process, over standard input and output, and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from holdfast import Memory
from holdfast.app.connections import Local
from holdfast.app.mcp_server import mcp_server
from tests.app.conftest import ALICE, BOB, Serving, command
from tests.support.processes import holdfast, ran

NAMES = {
    "add_memory",
    "search_memories",
    "get_memories",
    "get_memory",
    "update_memory",
    "delete_memory",
    "recall",
    "memory_history",
    "undo",
}


def bound(memory: Memory, user_id: str) -> Client:
    ids = {"user_id": user_id}
    return Client(mcp_server(lambda _: (Local(memory.scoped(user_id=user_id)), ids)))


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


async def used(client: Client, tool: str, **given: Any) -> Any:
    result = await client.call_tool(tool, given)
    assert not result.is_error, text_of(result)
    return result.structured_content


async def refused(client: Client, tool: str, **given: Any) -> str:
    result = await client.call_tool(tool, given)
    assert result.is_error
    return text_of(result)


async def test_a_memory_lives_through_all_tools(memory: Memory) -> None:
    async with bound(memory, "alice") as client:
        added = await used(client, "add_memory", messages="I live in Berlin", metadata={"kind": "home"})
        memory_id = added["changes"][0]["memory_id"]
        hits = await used(client, "search_memories", query="Berlin", filters={"kind": "home"})
        assert hits["memories"][0]["id"] == memory_id
        assert "I live in Berlin" in text_of(await client.call_tool("recall", {"query": "Berlin"}))
        assert text_of(await client.call_tool("recall", {"query": "x", "max_tokens": 1})) == ""
        changed = await used(client, "update_memory", memory_id=memory_id, text="I live in Lisbon")
        assert (await used(client, "get_memory", memory_id=memory_id))["text"] == "I live in Lisbon"
        history = await used(client, "memory_history", memory_id=memory_id)
        assert [change["operation"] for change in history["changes"]] == ["ADD", "UPDATE"]
        await used(client, "undo", change_or_add_id=changed["id"])
        await used(client, "delete_memory", memory_id=memory_id)
        assert (await used(client, "get_memories"))["memories"] == []
        conversation = [{"role": "user", "content": "I play tennis"}]
        added = await used(client, "add_memory", messages=conversation)
        await used(client, "undo", change_or_add_id=added["id"])
        assert memory.count(user_id="alice") == 0


async def test_a_model_says_when_a_memory_expires(memory: Memory) -> None:
    async with bound(memory, "alice") as client:
        added = await used(client, "add_memory", messages="I am in Berlin", expires_at="2999-01-31")
        memory_id = added["changes"][0]["memory_id"]
        told = await used(client, "get_memory", memory_id=memory_id)
        assert told["expires_at"] == "2999-01-31T00:00:00+00:00"
        await used(client, "update_memory", memory_id=memory_id, text="I am in Bonn")
        assert (await used(client, "get_memory", memory_id=memory_id))["expires_at"] == told["expires_at"]
        await used(client, "update_memory", memory_id=memory_id, expires_at=None)
        told = await used(client, "get_memory", memory_id=memory_id)
        assert "expires_at" not in told
        assert told["text"] == "I am in Bonn"
        assert "expires_at='soon'" in await refused(client, "add_memory", messages="x", expires_at="soon")
        assert "none of them was given" in await refused(client, "update_memory", memory_id=memory_id)


async def test_tools_say_what_they_do_and_name_no_user(memory: Memory) -> None:
    async with bound(memory, "alice") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == NAMES
    for name, tool in tools.items():
        assert tool.annotations is not None
        assert not {"user_id", "agent_id", "run_id"} & set(tool.input_schema["properties"])
        reads = name in {"search_memories", "get_memories", "get_memory", "recall", "memory_history"}
        assert tool.annotations.read_only_hint is reads
        assert tool.annotations.destructive_hint is (name == "delete_memory")


async def test_wrong_use_is_told_to_the_model(memory: Memory) -> None:
    async with bound(memory, "alice") as client:
        assert "query: field required" in await refused(client, "search_memories")
        assert "limit=0" in await refused(client, "search_memories", query="x", limit=0)
        assert "no memory 'nobody'" in await refused(client, "get_memory", memory_id="nobody")
        assert "no tool 'dance'" in await refused(client, "dance")


async def test_another_users_memory_cannot_be_named(memory: Memory) -> None:
    async with bound(memory, "alice") as alice, bound(memory, "bob") as bob:
        added = await used(alice, "add_memory", messages="I live in Berlin")
        await of_alice_for_bob(bob, added)
        assert (await used(alice, "get_memories"))["total"] == 1


async def of_alice_for_bob(bob: Client, added: Any) -> None:
    """Everything that bob could try."""
    change = added["changes"][0]
    assert "user_id" in await refused(bob, "search_memories", query="Berlin", user_id="alice")
    assert "user_id" in await refused(bob, "add_memory", messages="x", user_id="alice")
    assert (await used(bob, "search_memories", query="Berlin"))["memories"] == []
    assert text_of(await bob.call_tool("recall", {"query": "Berlin"})) == ""
    assert (await used(bob, "get_memories"))["total"] == 0
    for tool, given in (
        ("get_memory", {"memory_id": change["memory_id"]}),
        ("memory_history", {"memory_id": change["memory_id"]}),
        ("update_memory", {"memory_id": change["memory_id"], "text": "x"}),
        ("delete_memory", {"memory_id": change["memory_id"]}),
        ("undo", {"change_or_add_id": change["id"]}),
        ("undo", {"change_or_add_id": added["id"]}),
    ):
        assert "there is no" in await refused(bob, tool, **given)


@asynccontextmanager
async def over_http(url: str, **headers: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as asking,
        Client(streamable_http_client(url, http_client=asking)) as client,
    ):
        yield client


async def test_two_clients_at_once_over_http(shared_server: Serving) -> None:
    url = f"{shared_server.url}/mcp"
    async with (
        over_http(url, authorization=f"Bearer {ALICE}") as alice,
        over_http(f"{url}/bob", authorization=f"Bearer {BOB}") as bob,
    ):
        added = await used(alice, "add_memory", messages="I live in Berlin")
        await of_alice_for_bob(bob, added)
        texts = [f"I like the number {number}" for number in range(10)]
        await asyncio.gather(
            *(
                used(client, "add_memory", messages=text, infer=False)
                for text in texts
                for client in (alice, bob)
            )
        )
        assert {item["text"] for item in (await used(bob, "get_memories"))["memories"]} == set(texts)
        assert (await used(alice, "get_memories"))["total"] == 11


async def test_the_connection_says_whose_memory_it_is(shared_server: Serving) -> None:
    url, admin = f"{shared_server.url}/mcp", f"Bearer {shared_server.token}"
    async with over_http(f"{url}/carol", authorization=admin) as client:
        await used(client, "add_memory", messages="I live in Berlin")
    for place, headers in (
        (f"{url}?user_id=carol", {}),
        (url, {"holdfast-user-id": "carol"}),
        (f"{url}/carol", {"holdfast-user-id": "carol"}),
    ):
        async with over_http(place, authorization=admin, **headers) as client:
            assert (await used(client, "get_memories"))["total"] == 1
    async with over_http(f"{url}/carol?run_id=r1", authorization=admin) as client:
        assert (await used(client, "get_memories"))["total"] == 0
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for place, token, status in (
        (url, admin, 400),
        (f"{url}/alice?user_id=bob", admin, 400),
        (f"{url}/alice", f"Bearer {BOB}", 403),
        (f"{url}?user_id=alice", f"Bearer {BOB}", 403),
        (f"{url}/alice", "Bearer nonsense", 401),
    ):
        async with httpx2.AsyncClient(timeout=60) as asking:
            answer = await asking.post(place, json=body, headers={"authorization": token})
            # There are no sessions, so that there is nothing to listen to, and nothing that a stop would wait for.
            assert (await asking.get(place, headers={"authorization": token})).status_code == 405
        assert answer.status_code == status, place


async def test_clients_of_earlier_versions_are_served(shared_server: Serving) -> None:
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {shared_server.token}"}, timeout=60) as asking,
        Client(
            streamable_http_client(f"{shared_server.url}/mcp/frank", http_client=asking), mode="legacy"
        ) as client,
    ):
        await used(client, "add_memory", messages="I live in Berlin")
        assert (await used(client, "get_memories"))["total"] == 1


def over_stdio(home: Path, user_id: str) -> StdioServerParameters:
    [python, *arguments] = command("mcp", "--home", str(home))
    environment = {"HOLDFAST_USER_ID": user_id, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    return StdioServerParameters(command=python, args=arguments, env=environment)


async def test_two_clients_at_once_over_standard_input(shared_server: Serving) -> None:
    home = shared_server.home
    async with Client(over_stdio(home, "dave")) as dave, Client(over_stdio(home, "eve")) as eve:
        added = await used(dave, "add_memory", messages="I live in Berlin")
        await of_alice_for_bob(eve, added)
    assert shared_server.ask("count", user_id="dave").json() == {"count": 1}


async def test_the_first_client_of_a_folder_serves_the_others(tmp_path: Path) -> None:
    """When it has gone, the next one takes its place; commands find whoever it is."""
    home, file = tmp_path / "home", tmp_path / "home" / "serve.json"
    first = subprocess.Popen(command("mcp", "-u", "bob", "--home", str(home)), stdin=subprocess.PIPE)  # noqa: ASYNC220
    assert first.stdin is not None
    while not file.exists():
        assert first.poll() is None
        await asyncio.sleep(0.05)
    async with Client(over_stdio(home, "alice")) as second:
        await used(second, "add_memory", messages="I live in Berlin")
        assert json.loads(file.read_text())["pid"] == first.pid
        first.stdin.close()
        assert first.wait(30) == 0
        await used(second, "add_memory", messages="I play tennis")
        assert json.loads(file.read_text())["pid"] != first.pid
        listed = await asyncio.to_thread(ran, holdfast, "list", "-u", "alice", "--home", str(home))
        assert json.loads(listed.stdout)["total"] == 2
    assert not file.exists()


async def test_standard_input_opens_the_folder_where_no_server_runs(tmp_path: Path) -> None:
    async with Client(over_stdio(tmp_path / "home", "alice")) as alice:
        await used(alice, "add_memory", messages="I live in Berlin")
    with Memory(tmp_path / "home", llm=None) as memory:
        assert memory.count(user_id="alice") == 1
