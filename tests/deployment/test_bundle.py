"""The bundle as the platform runs it: an empty folder, an empty environment, the Procfile."""

from __future__ import annotations

import asyncio
import io
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner

from scripts.eb import bundle
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import World, fetched, free_port, name, ready

LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
"""docs.aws.amazon.com/elasticbeanstalk/latest/dg, platforms-linux-extend.build-proc."""


def test_bundles_are_reproducible(tmp_path: Path) -> None:
    """Two builds give the same bytes; only hooks are executable."""
    out = tmp_path / "new" / "bundle.zip"
    done = CliRunner().invoke(bundle.main, [str(out)])
    assert done.exit_code == 0
    assert out.read_bytes() == bundle.build_bundle(bundle.ROOT)
    with zipfile.ZipFile(out) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        # A change of settings is no deployment: it runs confighooks instead of hooks.
        files = ("postdeploy/20_agent.sh", "prebuild/10_units.sh")
        hooks = [f".platform/{when}/{file}" for when in ("confighooks", "hooks") for file in files]
        assert [archive.read(one) for one in hooks[:2]] == [archive.read(one) for one in hooks[2:]]
    assert [name for name, mode in modes.items() if mode == 0o755] == hooks


def test_the_bundle_holds_the_whole_package() -> None:
    """Sources and package data are in the bundle: Lua scripts, the page of the REST documents.

    What is linked into the package is for `rts-server dev`, and left out.
    """
    with zipfile.ZipFile(io.BytesIO(bundle.build_bundle(bundle.ROOT))) as archive:
        packed = {name for name in archive.namelist() if name.startswith("rts_server/")}
    package = [path for path in (bundle.ROOT / "rts_server").rglob("*") if path.is_file()]
    package = [path for path in package if not path.is_symlink()]
    there = {p.relative_to(bundle.ROOT).as_posix() for p in package if p.suffix != ".pyc"}
    assert packed == there


def test_an_unknown_extra_is_a_usage_error(tmp_path: Path) -> None:
    """The command ends with exit code 2 and names the extra."""
    done = CliRunner().invoke(bundle.main, [str(tmp_path / "x.zip"), "--extra", "nothing"])
    assert (done.exit_code, "no extra nothing" in done.output) == (2, True)


def test_requirements_are_the_named_packages_and_their_dependencies() -> None:
    """They follow the comments of the lock, without packages that only tests need."""
    lock = (
        "one==1 \\\n    --hash=sha256:aa\n    # via rts-server (pyproject.toml)\n"
        "three==3 \\\n    --hash=sha256:cc\n    # via\n    #   other\n    #   two\n"
        "two-b==2 ; x \\\n    --hash=sha256:bb\n    # via one\n"
        "two==2 \\\n    --hash=sha256:dd\n    # via pytest\n"
        "four==4 \\\n    --hash=sha256:ee\n    # via\n    #   pytest\n    #   two-b\n"
    )
    kept = bundle.requirements(lock, {"one"})
    assert [line.split("==")[0] for line in kept.splitlines() if "==" in line] == [
        "four",
        "one",
        "two-b",
    ]
    assert kept.count("--hash") == 3


@contextmanager
def processes(folder: Path, environment: dict[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start every line of the Procfile by a shell, as the platform does."""
    lines = [LINE.fullmatch(line) for line in (folder / "Procfile").read_text().splitlines()]
    assert [line[1] if line else None for line in lines] == ["web", "relay"]
    children = []
    try:
        for line in lines:
            assert line is not None
            with (folder / f"{line[1]}.log").open("wb") as log:
                child = subprocess.Popen(
                    ["sh", "-c", f"exec {line[2]}"], cwd=folder, env=environment, stderr=log
                )
                children.append(child)
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(PATIENCE)


def unpacked(folder: Path) -> Path:
    """Unpack the bundle, and make an environment with its requirements only."""
    whole = folder / "bundle.zip"
    whole.write_bytes(bundle.build_bundle(bundle.ROOT))
    current, environment = folder / "current", folder / "venv"
    with zipfile.ZipFile(whole) as archive:
        archive.extractall(current)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    uv, python = Path(sys.executable).parent / "uv", environment / "bin" / "python"
    install = ["install", "--require-hashes", "-r", current / "requirements.txt"]
    for what in (install, ["check"]):
        command = [uv, "--quiet", "pip", what[0], "--python", python, *what[1:]]
        subprocess.run(command, check=True)
    return current


async def test_the_procfile_runs_from_the_bundle_alone(world: World, tmp_path: Path) -> None:
    """web and relay carry a message into the queue, and end on SIGTERM with status 0."""
    current = await asyncio.to_thread(unpacked, tmp_path)
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = world.stack.environment() | {
        "PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin",
        "RTS_PORT": str(port),
        "RTS_DEV": "",
    }
    for variable in ("PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(variable, None)
    world.relay.stop()
    try:
        with processes(current, environment) as children:
            await asyncio.to_thread(until, lambda: ready(url))
            assert "<title>" in await fetched(f"{url}/v1/docs")
            async with JsClient() as client:
                await client.connect(url, world.token(name("alice")), reconnection=False)
                asked = {"type": "direct", "members": [name("bob")]}
                room_id = (await ok(client, "room.create", asked))["room"]["room_id"]
                message = {"room_id": room_id, "client_msg_id": "m", "text": "hi"}
                assert (await ok(client, "message.send", message))["status"] == "queued"
                for child in children:
                    child.send_signal(signal.SIGTERM)
                codes = [await asyncio.to_thread(child.wait, PATIENCE) for child in children]
                assert codes == [0, 0]
    finally:
        world.relay.start()
