"""`holdfast serve` under load: clients at once, each with a token of its own, doing a bit of everything.

    python -m bench.cost.serve_load [--clients 50] [--seconds 120]

A server as a process of its own, on a fresh folder, without a model. Every client adds texts that name it, searches
with words that all clients use, lists, recalls, updates, deletes, and looks at histories, one request after the
other. Counted are answers that show another client's text (leaked), and at the end, after the server was stopped by
SIGTERM and the folder opened again, what was acknowledged and is not there as it should be (lost). Times are what a
client waits for, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from holdfast import Memory

WORDS = (
    "tea",
    "Lisbon",
    "nurse",
    "tennis",
    "piano",
    "garden",
    "Berlin",
    "bicycle",
    "chess",
    "bread",
    "网球",
    "里斯本",
)
# What an agent asks of a memory: it looks more often than it writes.
SHARES = {"add": 35, "search": 35, "recall": 10, "list": 8, "update": 5, "delete": 3, "history": 4}


@dataclass
class Client:
    """One user of the server. kept: what has to be found at the end, by the memory's id."""

    name: str
    http: httpx.AsyncClient
    token: str
    chance: random.Random
    kept: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    spans: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: Counter[str] = field(default_factory=Counter)
    leaked: int = 0
    told: int = 0

    async def ask(self, name: str, **given: Any) -> Any:
        start = time.perf_counter()
        try:
            answer = await self.http.post(
                f"/v1/{name}", json=given, headers={"Authorization": f"Bearer {self.token}"}
            )
        except httpx.HTTPError as error:
            self.failures[f"{name}: {type(error).__name__}"] += 1
            return None
        self.spans[name].append((time.perf_counter() - start) * 1000)
        if answer.status_code != 200:
            self.failures[f"{name}: {answer.status_code} {answer.text[:120]}"] += 1
            return None
        return answer.json()

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            [name] = self.chance.choices(list(SHARES), list(SHARES.values()))
            if name in ("update", "delete", "history") and not self.kept:
                name = "add"
            await getattr(self, f"_{name}")()

    def _text(self) -> str:
        self.told += 1
        return f"{self.name} likes {' and '.join(self.chance.sample(WORDS, 2))}, number {self.told}"

    async def _add(self) -> None:
        done = await self.ask("add", messages=self._text(), infer=self.chance.random() < 0.5)
        if done is not None:
            self.kept |= {change["memory_id"]: change["after"] for change in done["changes"]}

    async def _search(self) -> None:
        done = await self.ask("search", query=f"Who likes {self.chance.choice(WORDS)}?", limit=20)
        self._look([hit["memory"] for hit in done["hits"]] if done else [])

    async def _recall(self) -> None:
        done = await self.ask("recall", query=f"What about {self.chance.choice(WORDS)}?")
        self._look([hit["memory"] for hit in done["memories"]] if done else [])

    async def _list(self) -> None:
        done = await self.ask("list", limit=20)
        self._look(done["items"] if done else [])

    def _look(self, items: list[dict[str, Any]]) -> None:
        self.leaked += sum(
            item["user_id"] != self.name or not item["text"].startswith(f"{self.name} ") for item in items
        )

    async def _update(self) -> None:
        memory_id, text = self.chance.choice(list(self.kept)), self._text()
        if await self.ask("update", memory_id=memory_id, text=text) is not None:
            self.kept[memory_id] = text

    async def _delete(self) -> None:
        memory_id = self.chance.choice(list(self.kept))
        if await self.ask("delete", memory_id=memory_id) is not None:
            del self.kept[memory_id]
            self.gone.add(memory_id)

    async def _history(self) -> None:
        await self.ask("history", memory_id=self.chance.choice(list(self.kept)))

    def lost(self, memory: Memory) -> int:
        """What was acknowledged and is not there, or not as it should be."""
        found = {item.id: item.text for item in memory.get_all(user_id=self.name)}
        missing = sum(found.get(memory_id) != text for memory_id, text in self.kept.items())
        return missing + len(self.gone & found.keys())


def resident(pid: int) -> float:
    """Memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


async def load(url: str, tokens: dict[str, str], seconds: float) -> list[Client]:
    limits = httpx.Limits(max_connections=len(tokens), max_keepalive_connections=len(tokens))
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as http:
        clients = [Client(name, http, token, random.Random(name)) for name, token in tokens.items()]
        until = time.monotonic() + seconds
        await asyncio.gather(*(client.run(until) for client in clients))
    return clients


def report(clients: list[Client], seconds: float) -> None:
    print(f"{'':10} {'requests':>9} {'p50':>8} {'p95':>8} {'p99':>8}")
    whole: list[float] = []
    for name in SHARES:
        spans = [span for client in clients for span in client.spans[name]]
        whole += spans
        line(name, spans)
    line("all", whole)
    print(f"{len(whole) / seconds:.0f} requests a second from {len(clients)} clients")


def line(name: str, spans: list[float]) -> None:
    if len(spans) < 2:
        return
    cuts = statistics.quantiles(spans, n=100)
    print(f"{name:10} {len(spans):9,} {cuts[49]:8.1f} {cuts[94]:8.1f} {cuts[98]:8.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    tokens = {f"user-{number:03}": secrets.token_urlsafe(24) for number in range(options.clients)}
    with tempfile.TemporaryDirectory(prefix="holdfast-load-") as folder:
        home, file = Path(folder) / "home", Path(folder) / "tokens.json"
        file.write_text(json.dumps([{"token": token, "user_id": name} for name, token in tokens.items()]))
        arguments = ("serve", "--home", str(home), "--port", "0", "-o", "json", "--token-file", str(file))
        server = subprocess.Popen(
            [sys.executable, "-m", "holdfast.app", *arguments], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        try:
            address = "".join(iter(server.stdout.readline, "}\n")) + "}"  # an object, a line each key
            clients = asyncio.run(load(json.loads(address)["url"], tokens, options.seconds))
            used = resident(server.pid)
            server.send_signal(signal.SIGTERM)
            code = server.wait(120)
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
        report(clients, options.seconds)
        with Memory(home, llm=None) as memory:
            lost = sum(client.lost(memory) for client in clients)
            count, agree = memory.count(), bool(memory.index.verify())
    leaked = sum(client.leaked for client in clients)
    failures = sum((client.failures for client in clients), Counter[str]())
    print(
        f"{count:,} memories kept; lost {lost}, leaked {leaked}, failed {failures.total()}, index agrees: {agree}"
    )
    print(f"server: {used:.0f} MB when the load ended, exit code {code}")
    for what, times in failures.most_common(5):
        print(f"  {times} x {what}")
    return int(bool(lost or leaked or failures or not agree or code))


if __name__ == "__main__":
    sys.exit(main())
