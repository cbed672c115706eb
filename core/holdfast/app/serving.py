"""`holdfast serve`: the one process that has a store open, for all programs of a machine."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import uvicorn

from ..errors import InputError, StorageError, StoreLockedError
from ..memory import Memory
from . import discovery
from .access import Access, Grant
from .connections import Local, Place
from .inspector.pages import routes
from .server import Limits, Service, application

PORT = 8377
GRACE = 30  # seconds for requests under way when the server is told to stop
MOST = 1000  # requests at a time; more are told to come back
KEPT_ALIVE = 75  # seconds that a connection may idle: longer than clients pause between two requests


@dataclass(frozen=True, slots=True)
class Address:
    """Where it listens. Port 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = PORT

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


def serve(
    place: Place,
    address: Address,
    *,
    tokens: Mapping[str, Grant],
    hosts: frozenset[str],
    limits: Limits,
    ready: Callable[[str, str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests under way, and close the memory.

    tokens: if a folder is served, another is made, an administrator's for this machine's user. ready: called with
    the address once it listens, and with a link that opens the inspector once.

    Raises InputError, StoreLockedError if somebody has the folder, StorageError if the port is taken.
    """
    if not tokens and not address.loopback:
        raise InputError(
            f"--host {address.host} is reached from elsewhere: give it tokens with --token-file or HOLDFAST_TOKEN"
        )
    if not tokens and place.ledger:
        raise InputError("whoever asks needs a token: give some with --token-file or HOLDFAST_TOKEN")
    with (
        _opened(place) as memory,
        _prepared(memory, address, tokens, hosts, limits) as prepared,
        _stopping(),
    ):
        ready(prepared.url, f"{prepared.url}/login?key={prepared.service.visits.link(Grant())}")
        uvicorn.Server(prepared.config).run(sockets=[prepared.listener])


@dataclass(frozen=True, slots=True)
class Prepared:
    """What makes a server. listener: the socket it listens on. url: the one by which this machine reaches it."""

    config: uvicorn.Config
    listener: socket.socket
    url: str
    service: Service


class Guest(uvicorn.Server):
    """A server in somebody else's process: it leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def hosted(place: Place) -> AsyncIterator[Local]:
    """The store of a folder, meanwhile served on this event loop to other programs of the machine.

    Raises StoreLockedError if somebody has the folder.
    """
    with (
        _opened(place) as memory,
        _prepared(memory, Address(port=0), {}, frozenset(), Limits()) as prepared,
    ):
        server = Guest(prepared.config)
        serving = asyncio.create_task(server.serve(sockets=[prepared.listener]))
        try:
            yield Local(memory)
        finally:
            server.should_exit = True
            await serving


@contextmanager
def _prepared(
    memory: Memory, address: Address, tokens: Mapping[str, Grant], hosts: frozenset[str], limits: Limits
) -> Iterator[Prepared]:
    """A server that is ready to run; its address is left in the folder meanwhile."""
    own = discovery.new_token()
    with closing(_listening(address)) as listener:
        url = _url(address.host, listener.getsockname()[1])
        served = discovery.Served.here(url, own)
        service = Service(memory, Access({**tokens, own: Grant()}), served.instance, hosts, limits)
        config = uvicorn.Config(
            application(service, routes=routes()),
            log_level="warning",
            lifespan="on",
            ws="none",
            timeout_keep_alive=KEPT_ALIVE,
            server_header=False,
            limit_concurrency=MOST,
            timeout_graceful_shutdown=GRACE,
        )
        with discovery.left(memory.folder, served):
            yield Prepared(config, listener, url, service)


@contextmanager
def _opened(place: Place) -> Iterator[Memory]:
    other = place.served()
    if other is not None:
        raise StoreLockedError(f"{place.home} is served already at {other.url}, by process {other.pid}")
    with place.open(resume=True) as memory:
        yield memory


def _listening(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {address.host!r} is no address of this machine: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StorageError(
            f"{address.host}:{address.port} cannot be listened at: {error}; pass --port"
        ) from error
    return listener


def _url(host: str, port: int) -> str:
    """The URL by which programs of this machine reach it."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


@contextmanager
def _stopping() -> Iterator[None]:
    """The server stops by these signals itself, and raises them again when it is done: that is not a failure."""
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
