"""A memory behind the server's application, in this process; and a real server of a folder."""

from __future__ import annotations

import json
import subprocess
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

ADMIN, ALICE, BOB = "the-admins-token", "the-token-of-alice", "the-token-of-bob-"
GRANTS = {ADMIN: Grant(), ALICE: Grant(Scope("alice")), BOB: Grant(Scope("bob"))}
HERE = "http://127.0.0.1"


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
        answer: Any = self.client.post(f"/v1/{name}", json=given, headers=headers)
        return answer

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

    process: subprocess.Popen[str]
    home: Path
    url: str

    @property
    def token(self) -> str:
        token: str = json.loads((self.home / "serve.json").read_text())["token"]
        return token

    def ask(self, name: str, token: str | None = None, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.post(f"{self.url}/v1/{name}", json=given, headers=headers, timeout=30)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "holdfast.app", *arguments]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    running: list[subprocess.Popen[str]] = []

    def start(*options: str, home: Path | None = None) -> Serving:
        home = home or tmp_path / "home"
        arguments = command("serve", "--home", str(home), "--port", "0", "-o", "json", *options)
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        told = "".join(iter(lambda: process.stdout.readline() if process.stdout else "", "}\n")) + "}"
        return Serving(process, home, json.loads(told)["url"])

    yield start
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
