"""A Qdrant server for tests, on a loopback port: HTTP in front of qdrant-client's own local mode.

Every request's body is parsed by the OpenAPI models that qdrant-client ships, with unknown fields refused, so a
request that a real server would not understand fails here too. What it answers is what the local mode answers.
Several processes can share it. It is no Qdrant: of a server's speed, durability and consistency it says nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient
from qdrant_client.http import models as m

Answer = Any


class Recorded:
    """One request: method, path, query, and the body as sent."""

    def __init__(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.body = body


class Server:
    """url: where it listens. requests: everything it was asked. failures: status codes to answer first."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.failures: list[int] = []
        self.fail_after: int | None = None  # so many more writes of points are taken
        self.invalid: list[str] = []
        self._local = QdrantClient(":memory:")
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"server_of_tests": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._local.close()

    def collections(self) -> list[str]:
        return sorted(found.name for found in self._local.get_collections().collections)

    def answer(self, method: str, target: str, raw: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        request = Recorded(method, parts.path, parse_qs(parts.query), json.loads(raw) if raw else None)
        with self._lock:
            self.requests.append(request)
            if self._too_many(request):
                return 500, {"status": {"error": "gone"}}
            if self.failures:
                return self.failures.pop(0), {"status": {"error": "not now"}}
            try:
                found = self._route(request)
            except ValidationError as error:
                self.invalid.append(f"{method} {target}: {error}")
                return 422, {"status": {"error": str(error)}}
            except (KeyError, ValueError) as error:
                return 404, {"status": {"error": str(error)}}
        return 200, {"result": _plain(found), "status": "ok", "time": 0.0}

    def _too_many(self, request: Recorded) -> bool:
        if self.fail_after is None or request.method != "PUT" or not request.path.endswith("/points"):
            return False
        self.fail_after -= 1
        return self.fail_after < 0

    def _route(self, request: Recorded) -> Answer:
        _, _, collection, *rest = request.path.split("/")
        what = (request.method, "/".join(rest))
        body = request.body
        local, name = self._local, collection
        simple: dict[tuple[str, str], Callable[[], Answer]] = {
            ("GET", ""): lambda: local.get_collection(name),
            ("GET", "exists"): lambda: {"exists": local.collection_exists(name)},
            ("DELETE", ""): lambda: local.delete_collection(name),
            ("PUT", ""): lambda: self._create(name, _parsed(m.CreateCollection, body)),
            ("PUT", "index"): lambda: _parsed(m.CreateFieldIndex, body) and _done(),
            ("PUT", "points"): lambda: self._upsert(name, _parsed(m.PointsList, body)),
            ("POST", "points/delete"): lambda: self._delete(name, _parsed(m.PointsSelector, body)),
            ("POST", "points/count"): lambda: self._count(name, _parsed(m.CountRequest, body)),
            ("POST", "points/scroll"): lambda: self._scroll(name, _parsed(m.ScrollRequest, body)),
            ("POST", "points/query/batch"): lambda: self._query(name, _parsed(m.QueryRequestBatch, body)),
            ("POST", "points"): lambda: self._retrieve(name, _parsed(m.PointRequest, body)),
        }
        if what not in simple:
            raise KeyError(f"{what} is not served here")
        return simple[what]()

    def _create(self, name: str, made: m.CreateCollection) -> bool:
        return self._local.create_collection(
            name, vectors_config=made.vectors, sparse_vectors_config=made.sparse_vectors
        )

    def _upsert(self, name: str, given: m.PointsList) -> Any:
        return self._local.upsert(name, given.points)

    def _delete(self, name: str, given: Any) -> Any:
        return self._local.delete(name, given)

    def _count(self, name: str, given: m.CountRequest) -> Any:
        return self._local.count(name, count_filter=given.filter, exact=bool(given.exact))

    def _scroll(self, name: str, given: m.ScrollRequest) -> Any:
        points, following = self._local.scroll(
            name,
            scroll_filter=given.filter,
            limit=given.limit or 10,
            offset=given.offset,
            with_payload=given.with_payload or False,
            with_vectors=given.with_vector or False,
        )
        return {"points": points, "next_page_offset": following}

    def _retrieve(self, name: str, given: m.PointRequest) -> Any:
        return self._local.retrieve(
            name, given.ids, with_payload=given.with_payload or False, with_vectors=False
        )

    def _query(self, name: str, given: m.QueryRequestBatch) -> Any:
        return self._local.query_batch_points(name, given.searches)


class _Handler(BaseHTTPRequestHandler):
    server_of_tests: Server
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, found = self.server_of_tests.answer(self.command, self.path, raw)
        content = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Silence: the tests look at `Server.requests`."""


def _parsed(model: Any, body: Any) -> Any:
    """The body as its OpenAPI model reads it; those models forbid fields that they do not know."""
    return TypeAdapter(model).validate_python(body)


def _done() -> m.UpdateResult:
    return m.UpdateResult(operation_id=0, status=m.UpdateStatus.COMPLETED)


def _plain(found: Any) -> Any:
    if isinstance(found, BaseModel):
        return json.loads(found.model_dump_json(exclude_none=True))
    if isinstance(found, list):
        return [_plain(item) for item in found]
    if isinstance(found, dict):
        return {key: _plain(value) for key, value in found.items()}
    return found


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()
