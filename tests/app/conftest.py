"""A memory behind the server's application, in this process; and a real server of a folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from holdfast import Memory
from holdfast.app.access import Access, Grant
from holdfast.app.server import Limits, Service, application
from holdfast.types import Scope
from tests.support.fakes import HashEmbedder, ScriptedModel
from tests.support.processes import Child, holdfast

ADMIN, ALICE, BOB = "the-admins-token", "the-token-of-alice", "the-token-of-bob-"
GRANTS = {ADMIN: Grant(), ALICE: Grant(Scope("alice")), BOB: Grant(Scope("bob"))}
HERE = "http://127.0.0.1"
FOREIGN = ("OPENAI_", "HOLDFAST_")  # what the machine happens to be set up for


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", llm=None, embedder=HashEmbedder()) as memory:
        yield memory


@dataclass
class Http:
    """The application of a memory, asked as somebody who has a token."""

    client: TestClient

    def ask(self, name: str, token: str = ADMIN, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.post(f"/v1/{name}", json=given, headers=headers)  # type: ignore[return-value]

    def done(self, name: str, token: str = ADMIN, **given: Any) -> Any:
        answer = self.ask(name, token, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def http(memory: Memory) -> Iterator[Http]:
    service = Service(memory, Access(GRANTS), "this-one", limits=Limits(call=10_000, import_=100_000))
    with TestClient(application(service), base_url=HERE) as client:
        yield Http(client)


@pytest.fixture
def http_over() -> Iterator[Callable[[ScriptedModel], Http]]:
    """The application of a memory with a model."""
    opened: list[Any] = []

    def over(llm: ScriptedModel) -> Http:
        memory = Memory(":memory:", llm=llm, embedder=HashEmbedder(), model_size="large")
        client = TestClient(application(Service(memory, Access(GRANTS))), base_url=HERE)
        opened.extend((memory, client))
        return Http(client)

    yield over
    for one in opened:
        one.close()


@dataclass
class Serving:
    """`holdfast serve` as a process of its own."""

    process: Child
    home: Path
    url: str
    inspector: str

    @property
    def token(self) -> str:
        token: str = json.loads((self.home / "serve.json").read_text())["token"]
        return token

    def ask(self, name: str, token: str | None = None, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.post(f"{self.url}/v1/{name}", json=given, headers=headers, timeout=30)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "holdfast.app", *arguments]


def started(home: Path, *options: str) -> Serving:
    arguments = ("serve", "--home", str(home), "--port", "0", "-o", "json", *options)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    process = Child(holdfast, *arguments, environment=environment, printing=True)
    lines: list[str] = []
    while "}\n" not in lines:
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended before it served"
    return Serving(process, home, **json.loads("".join(lines)))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Starts servers of one test."""
    running: list[Serving] = []

    def start(*options: str, home: Path | None = None) -> Serving:
        running.append(started(home or tmp_path / "home", *options))
        return running[-1]

    yield start
    for server in running:
        server.process.end()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for the tests of a module, each with users of its own. It knows the tokens of alice and bob."""
    folder = tmp_path_factory.mktemp("served")
    tokens = folder / "tokens.json"
    tokens.write_text(json.dumps([{"token": ALICE, "user_id": "alice"}, {"token": BOB, "user_id": "bob"}]))
    server = started(folder / "home", "--token-file", str(tokens))
    yield server
    server.process.end()
