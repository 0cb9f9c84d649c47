"""The bundle as the platform meets it: an empty folder, an empty environment, the Procfile."""

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
from tests.helpers.waiting import until
from tests.helpers.world import World, fetched, free_port, name, ready

LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
"""docs.aws.amazon.com/elasticbeanstalk/latest/dg, platforms-linux-extend.build-proc."""


def test_the_same_sources_are_the_same_bytes(tmp_path: Path) -> None:
    """Twice built, byte for byte alike; hooks may be executed, nothing else."""
    out = tmp_path / "new" / "bundle.zip"
    done = CliRunner().invoke(bundle.main, [str(out)])
    assert done.exit_code == 0
    assert out.read_bytes() == bundle.bundle(bundle.ROOT)
    with zipfile.ZipFile(out) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        # New settings come without a deployment, and have hooks of their own.
        files = ("postdeploy/20_agent.sh", "prebuild/10_units.sh")
        hooks = [f".platform/{when}/{file}" for when in ("confighooks", "hooks") for file in files]
        assert [archive.read(one) for one in hooks[:2]] == [archive.read(one) for one in hooks[2:]]
    assert [name for name, mode in modes.items() if mode == 0o755] == hooks


def test_the_whole_package_is_in_it() -> None:
    """Its sources and what they read: scripts of Redis, the page of the REST documentation."""
    with zipfile.ZipFile(io.BytesIO(bundle.bundle(bundle.ROOT))) as archive:
        packed = {name for name in archive.namelist() if name.startswith("rts_server/")}
    package = [path for path in (bundle.ROOT / "rts_server").rglob("*") if path.is_file()]
    there = {p.relative_to(bundle.ROOT).as_posix() for p in package if p.suffix != ".pyc"}
    assert packed == there


def test_a_name_that_is_no_extra_is_a_mistake(tmp_path: Path) -> None:
    """Exit code 2 and one sentence."""
    done = CliRunner().invoke(bundle.main, [str(tmp_path / "x.zip"), "--extra", "nothing"])
    assert (done.exit_code, "no extra nothing" in done.output) == (2, True)


def test_requirements_are_the_roots_and_what_they_need() -> None:
    """By the lock's own words; of what only tests need, nothing."""
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
    """Every line of the Procfile, started by a shell as the platform does."""
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
            child.wait(20)


def unpacked(folder: Path) -> Path:
    """The bundle in a folder of its own, and an environment with its requirements alone."""
    whole = folder / "bundle.zip"
    whole.write_bytes(bundle.bundle(bundle.ROOT))
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


async def test_the_procfile_starts_what_was_unpacked(world: World, tmp_path: Path) -> None:
    """web and relay from the bundle alone carry a message into the queue, and end by SIGTERM."""
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
                codes = [await asyncio.to_thread(child.wait, 20) for child in children]
                assert codes == [0, 0]
    finally:
        world.relay.start()
