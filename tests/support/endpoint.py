"""A server on this machine that plays an OpenAI-compatible endpoint, for the models that talk to one."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from holdfast import Schema

RELATION = Schema(
    "relation",
    "How they stand.",
    {"type": "object", "properties": {"relation": {"type": "string", "enum": ["same", "adds", "changes"]}}},
    choice="relation",
)
Answer = tuple[int, Any]


class Endpoint:
    """Answers each request with `answer(body)` and keeps the bodies and headers."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, Any]], Answer] = lambda body: chat("{}")
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.bodies.append(body)
                endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, reply = endpoint.answer(body)
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                assert isinstance(sys.exception(), ConnectionError)  # a client that gave up waiting

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def structures(self) -> list[str]:
        return [
            body["response_format"]["type"]
            if "response_format" in body
            else "tool"
            if "tools" in body
            else "text"
            for body in self.bodies
        ]


def chat(content: str | None, *, finish: str = "stop", logprobs: Any = None, **message: Any) -> Answer:
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "small",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "logprobs": logprobs,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37},
    }


def refused(message: str, status: int = 400, **more: Any) -> Answer:
    return status, {"error": {"message": message, "type": "invalid_request_error", **more}}


def spoken(*tokens: tuple[str, dict[str, float]]) -> dict[str, Any]:
    """A `logprobs` of a choice: tokens with the probabilities of what could have stood in their places."""
    told = [
        {
            "token": token,
            "bytes": None,
            "logprob": -0.1,
            "top_logprobs": [
                {"token": other, "bytes": None, "logprob": math.log(likely)}
                for other, likely in others.items()
            ],
        }
        for token, others in tokens
    ]
    return {"content": told}


def telling(body: Any) -> Answer:
    """Answers "adds", and, where it is asked to tell, how likely that was: 0.7."""
    told = spoken(('{"relation": "', {}), ("adds", {"adds": 0.7, "same": 0.3}), ('"}', {}))
    return chat('{"relation": "adds"}', logprobs=told if body.get("top_logprobs") else None)
