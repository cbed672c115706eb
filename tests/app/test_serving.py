"""`holdfast serve` as a process: found by its folder, alone on it, and stopped without losing anything."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from holdfast import Memory
from tests.app.conftest import ADMIN, ALICE, BOB, Serving, command
from tests.support.postgres import Cluster
from tests.support.processes import holdfast, ran

Serve = Callable[..., Serving]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In an interpreter of its own."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)


def test_a_server_is_found_by_its_folder_and_leaves_nothing_behind(serve: Serve) -> None:
    server = serve()
    file = server.home / "serve.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    home = ("--home", str(server.home))
    assert run("add", "I live in Berlin", "-u", "alice", *home).returncode == 0
    assert server.ask("count", user_id="alice").json() == {"count": 1}
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert not file.exists()
    listed = run("list", "-u", "alice", *home)
    assert json.loads(listed.stdout)["total"] == 1


def test_a_second_server_says_where_the_first_one_is(serve: Serve) -> None:
    server = serve()
    second = ran(holdfast, "serve", "--home", str(server.home), "--port", "0")
    assert second.returncode == 4
    assert second.stderr.splitlines()[-1] == (
        f"holdfast: {server.home} is served already at {server.url}, by process {server.process.pid}"
    )
    assert server.ask("count").status_code == 200


def test_a_link_to_the_inspector_is_printed_and_another_one_is_given(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    given = json.loads(ran(holdfast, "inspect", "--home", str(server.home)).stdout)["inspector"]
    for link in (server.inspector, given):
        with httpx.Client(follow_redirects=True, timeout=60) as browser:
            assert "Overview" in browser.get(link).text
        assert httpx.get(link).status_code == 401
    refused = ran(holdfast, "inspect", "--home", str(tmp_path / "nobody"))
    assert refused.returncode == 1
    assert "start `holdfast serve`" in refused.stderr


def test_a_port_that_is_taken_is_told(serve: Serve, tmp_path: Path) -> None:
    port = serve().url.rpartition(":")[2]
    second = ran(holdfast, "serve", "--home", str(tmp_path / "other"), "--port", port)
    assert second.returncode == 4
    assert "pass --port" in second.stderr


def test_another_address_needs_tokens(tmp_path: Path) -> None:
    refused = ran(holdfast, "serve", "--home", str(tmp_path / "home"), "--host", "0.0.0.0")
    assert refused.returncode == 1
    assert "--token-file" in refused.stderr


def test_what_a_killed_server_left_behind_means_nothing(serve: Serve) -> None:
    server = serve()
    server.ask("add", messages="I live in Berlin", user_id="alice")
    server.process.kill()
    server.process.wait()
    assert (server.home / "serve.json").exists()
    listed = ran(holdfast, "list", "-u", "alice", "--home", str(server.home))
    assert json.loads(listed.stdout)["total"] == 1


def test_a_token_is_not_sent_to_whoever_took_the_port(serve: Serve, tmp_path: Path) -> None:
    other = serve(home=tmp_path / "other")
    home = tmp_path / "home"
    Memory(home, llm=None).close()
    told = {"url": other.url, "token": other.token, "instance": "another", "pid": os.getpid()}
    (home / "serve.json").write_text(json.dumps(told))
    assert ran(holdfast, "add", "I live in Berlin", "-u", "alice", "--home", str(home)).returncode == 0
    assert other.ask("count").json() == {"count": 0}


def test_requests_under_way_are_finished_before_it_stops(serve: Serve) -> None:
    server = serve()
    token, answers = server.token, list[httpx.Response]()
    texts = [f"Text number {number}" for number in range(8)]

    def add(text: str) -> None:
        with suppress(httpx.TransportError):  # it came too late, and was not acknowledged
            answers.append(server.ask("add", token, messages=[text] * 200, user_id="alice", infer=False))

    threads = [threading.Thread(target=add, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    while not answers:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert server.process.wait(60) == 0
    with Memory(server.home, llm=None) as memory:
        kept = {item.text for item in memory.get_all(user_id="alice")}
        assert {answer.status_code for answer in answers} == {200}
        assert {change["after"] for answer in answers for change in answer.json()["changes"]} <= kept


def test_two_servers_share_a_database(serve: Serve, pgvector: Cluster, tmp_path: Path) -> None:
    """What one is told the other finds at once; both write to one user at a time; one that is killed takes nothing
    with it."""
    tokens = tmp_path / "tokens.json"
    bound = [{"token": ALICE, "user_id": "alice"}, {"token": BOB, "user_id": "bob"}]
    tokens.write_text(json.dumps([{"token": ADMIN, "admin": True}, *bound]))
    place = ("--ledger", pgvector.ledger(), "--index", "pgvector", "--token-file", str(tokens))
    one, other = (serve(*place, home=tmp_path / name) for name in ("one", "other"))

    def done(server: Serving, name: str, token: str = ALICE, **given: Any) -> Any:
        answer = server.ask(name, token, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    told = done(one, "add", messages="I live in Berlin", infer=False)["changes"][0]
    [hit] = done(other, "search", query="Where do I live?")["hits"]
    assert (hit["memory"]["id"], hit["memory"]["text"]) == (told["memory_id"], "I live in Berlin")
    assert done(other, "search", BOB, query="Where do I live?")["hits"] == []
    assert other.ask("get", BOB, memory_id=told["memory_id"]).status_code == 404

    def add(number: int) -> str:
        text = f"I like the number {number}"
        return str(done((one, other)[number % 2], "add", messages=text, infer=False)["id"])

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(add, range(20)))) == 20
    assert [done(server, "count")["count"] for server in (one, other)] == [21, 21]

    changed = done(other, "update", memory_id=told["memory_id"], text="I live in Lisbon")
    assert done(one, "get", memory_id=told["memory_id"])["text"] == "I live in Lisbon"
    done(one, "undo", change_or_add_id=changed["id"])
    assert done(other, "get", memory_id=told["memory_id"])["text"] == "I live in Berlin"

    one.process.kill()
    one.process.wait()
    assert done(other, "count")["count"] == 21
    done(other, "add", messages="I play the cello", infer=False)
    assert done(other, "search", query="cello", limit=1)["hits"][0]["memory"]["text"] == "I play the cello"
    assert done(other, "verify", ADMIN)["agree"] is True
    assert not list(tmp_path.rglob("serve.json")), "no folder is theirs to leave an address in"
