"""`Dockerfile` and `compose.yaml`: no container runs here, but what can be tried without one is."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML")
pytest.importorskip("uvicorn", reason="needs the extra `server`")

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
TOKEN = "a-token-for-the-test-of-the-image"


def instruction(name: str) -> str:
    """The last instruction of this name, in one line."""
    [*_, last] = re.findall(rf"^{name} (.*)$", DOCKERFILE.replace("\\\n", " "), re.M)
    return str(last)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_the_command_of_the_image_serves_and_its_health_check_tells_whether_it_does(tmp_path: Path) -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["holdfast"]
    command = [sys.executable, "-m", "holdfast.app", *json.loads(instruction("CMD"))]
    _, check = instruction("HEALTHCHECK").split("CMD ", 1)
    program, *arguments = json.loads(check)
    assert program == "python"
    environment = os.environ | {
        "HOLDFAST_HOME": str(tmp_path),
        "HOLDFAST_PORT": str(free_port()),
        "HOLDFAST_TOKEN": TOKEN,
    }

    def healthy() -> bool:
        asked = [sys.executable, *arguments]
        return not subprocess.run(asked, env=environment, check=False, capture_output=True).returncode

    assert not healthy()
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not healthy():
            assert server.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        server.terminate()
        assert server.wait(60) == 0
    assert not healthy()


def test_the_image_runs_as_nobody_special_and_holds_only_what_it_is_built_from() -> None:
    assert int(instruction("USER")) > 0
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    taken = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M) for name in line.split()[:-1]
    }
    assert copied == taken
    assert all((ROOT / name).exists() for name in taken)


def test_no_secret_is_written_down() -> None:
    text = DOCKERFILE + (ROOT / "compose.yaml").read_text()
    values = re.findall(r"^\s*\w*(?:PASSWORD|TOKEN|KEY)\w*[:=]\s*(\S.*)$", text, re.M)
    assert values
    assert [value for value in values if not value.startswith("${")] == []


def test_the_services_name_what_there_is() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"holdfast", "postgres", "qdrant"}
    for service in services.values():
        assert ("image" in service) != ("build" in service)
        assert all(re.search(r":\D*\d", service[key]) for key in ("image",) if key in service)  # no `latest`
        assert set(service.get("depends_on", {})) <= set(services)
        volumes = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert volumes <= set(COMPOSE["volumes"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for name in services["holdfast"]["depends_on"]:
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    settings = services["holdfast"]["environment"]
    assert re.fullmatch(r"postgresql://holdfast:\$\{.*\}@postgres:5432/holdfast", settings["HOLDFAST_LEDGER"])
    assert settings["HOLDFAST_INDEX"] == "http://qdrant:6333"


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint")
def test_hadolint_finds_nothing() -> None:
    run = subprocess.run(["hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
