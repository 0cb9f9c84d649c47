"""The package: a wheel, installed with `[dev]` where there is no checkout, is whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rts_server.tools.dev import ports
from tests.helpers.documents import is_as_written
from tests.helpers.operator import manifest
from tests.helpers.processes import clean_environment
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import free_port

ROOT = Path(__file__).parents[1]
SOURCES = ("rts_server", "lambdas", "web", "infra", "pyproject.toml", "README.md")
"""What the package is built of. It is built from a copy, because setuptools writes beside it."""
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")


def uv(*arguments: object) -> None:
    """Run uv, which has the locked packages in its cache."""
    program = Path(sys.executable).parent / "uv"
    subprocess.run([program, "--quiet", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def rts_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a package that was built, and installed into an empty environment."""
    folder = tmp_path_factory.mktemp("package")
    for name in SOURCES:
        source, copy = ROOT / name, folder / "sources" / name
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=NOT_SOURCES)
        else:
            shutil.copy(source, copy)
    build = ("build", "--wheel", "--no-build-isolation", "--python", sys.executable)
    uv(*build, "--out-dir", folder / "dist", folder / "sources")
    shutil.rmtree(folder / "sources")  # nothing may be read from there
    (wheel,) = (folder / "dist").glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    install = ("pip", "install", "--python", environment / "bin" / "python")
    uv(*install, "--constraint", ROOT / "requirements.lock", f"{wheel}[dev]")
    return environment / "bin" / "rts-server"


@contextmanager
def running(command: Path, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `rts-server dev` until the block ends."""
    with (folder / "terminal.txt").open("wb") as output:
        process = subprocess.Popen(
            [command, "dev", f"--port={port}"],
            cwd=folder,
            env=outside(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def outside() -> dict[str, str]:
    """The environment of a process that must not find the checkout."""
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PATH"}
    environment = {n: v for n, v in clean_environment().items() if n not in hidden}
    return environment | {"PATH": os.defpath, "AWS_PROFILE": "nobody"}


def test_the_wheel_alone_runs_the_local_stack_and_the_commands(
    rts_server: Path, tmp_path: Path
) -> None:
    """Template, functions, scripts in Lua, page and operators' commands come with it."""

    def output_of(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [rts_server, *arguments],
            cwd=tmp_path,
            env=outside() | more,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    url = f"http://127.0.0.1:{(port := free_port())}"
    with running(rts_server, tmp_path, port) as process:
        until(lambda: process.poll() is not None or ports.answers_ok(f"{url}/health/ready"))
        assert process.poll() is None, (tmp_path / "terminal.txt").read_text()
        for path in ("/", "/web/main.js", "/web/vendor/rts-chat.min.js", "/v1/docs"):
            with urllib.request.urlopen(f"{url}{path}") as answer:
                assert answer.read()
        token = output_of("token", "--user", "ops", "--scope", "operator").strip()
        declared = manifest(tmp_path / "rooms.yaml", [{"external_id": "r", "members": ["alice"]}])
        server = {"RTS_URL": url, "RTS_TOKEN": token}
        applied = output_of("rooms", "apply", str(declared), **server)
        assert is_as_written("…\n1 created, 0 changed, 0 as declared.", applied)
        assert "1 sent" in output_of("notice", "hello", "--external-id", "r", **server)
    assert process.returncode == 0
    assert output_of("build-lambdas", "--into", "zips").startswith("MessageCodeKey=")
