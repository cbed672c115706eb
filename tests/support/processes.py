"""Processes beside a test's own. They are forked from one that has imported and loaded what they run (`warm`), which
takes a new interpreter up to five seconds; that a new one does the same is tested where `subprocess` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from typing import Any, TextIO

FORKS = "forkserver" in get_all_start_methods()
_context: Any = get_context("forkserver" if FORKS else "spawn")
if FORKS:
    _context.set_forkserver_preload(["tests.support.warm"])


class Child:
    """A process that carries out a function of a module, as far as tests use `subprocess.Popen`.

    stdout: what it prints, where `printing`.
    """

    stdout: TextIO

    def __init__(
        self,
        work: Callable[..., Any],
        *arguments: object,
        environment: dict[str, str] | None = None,
        printing: bool = False,
        into: tuple[int, int] | None = None,
    ) -> None:
        ends = list[Connection](Connection(os.dup(end)) for end in into or ())
        if printing:
            read, write = os.pipe()
            self.stdout = open(read, encoding="utf-8")  # noqa: SIM115 - `end` closes it
            ends = [Connection(write)]
        given = (work, tuple(map(str, arguments)), dict(environment or os.environ), ends)
        self._process = _context.Process(target=_begin, args=given, daemon=True)
        self._process.start()
        for end in ends:
            end.close()

    @property
    def pid(self) -> int:
        pid: int = self._process.pid
        return pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal that ended it."""
        code: int | None = self._process.exitcode
        return code

    poll = returncode.fget

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(repr(self._process), timeout or 0)
        return self.returncode

    def said(self, timeout: float) -> str:
        """All that it prints from here to its end."""
        with ThreadPoolExecutor(1) as thread:
            reading = thread.submit(self.stdout.read)
            try:
                self.wait(timeout)
            finally:
                self.kill()  # so that the reading ends
            return reading.result()

    def send_signal(self, which: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, which)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """Kill it, where it runs still."""
        self.kill()
        self.wait()
        if hasattr(self, "stdout"):
            self.stdout.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _begin(
    work: Callable[..., Any], arguments: tuple[str, ...], environment: dict[str, str], ends: list[Connection]
) -> None:
    for stream, end in zip((1, 2), ends, strict=False):
        os.dup2(end.fileno(), stream)
        end.close()
    os.environ.clear()
    os.environ.update(environment)
    work(*arguments)


def holdfast(*arguments: str) -> None:
    """The command."""
    from holdfast.app.cli import main

    sys.argv = ["holdfast", *arguments]
    main()


def ran(
    work: Callable[..., Any], *arguments: object, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """What it was when it came to its end."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with Child(work, *arguments, into=(output.fileno(), errors.fileno())) as child:
            code = child.wait(timeout)
        said = [(file.seek(0), file.read().decode())[1] for file in (output, errors)]
    return subprocess.CompletedProcess(arguments, code, *said)
