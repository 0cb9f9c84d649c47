"""`python -m bench.rooms`: rooms as code at scale: duration, rate and memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click
import uvloop

from bench.contender import Contender, running
from bench.machine import allow_files, cpu_seconds, describe_machine, resident_bytes
from bench.testbed import without_settings
from rts_server import auth
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.stack import Stack

SCRIPT = Path(__file__).parents[1] / "scripts" / "rooms.py"
SAMPLE_EVERY_SECONDS = 0.5
PYTHON = (sys.executable, "-m", "rts_server")


class CommandCost(NamedTuple):
    """One run of the script: seconds, CPU seconds, largest MiB, last line."""

    seconds: float
    cpu: float
    largest: float
    last_line: str


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rooms", type=click.IntRange(1, 100_000), default=10_000)
@click.option("--members", type=click.IntRange(0, 1_000), default=5, help="Of each room.")
def main(rooms: int, members: int) -> None:
    """Plan, apply and apply again a manifest, on one instance with the default rates."""
    allow_files()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environ = without_settings(dict(os.environ)) | {"RTS_LOG_LEVEL": "WARNING"}
        stack = Stack(Path(folder), environ=environ, limits="standard")
        stack.start()
        try:
            uvloop.run(_run(stack, rooms, members))
        finally:
            stack.stop()


async def _run(stack: Stack, rooms: int, members: int) -> None:
    manifest = stack.data / "rooms.yaml"
    _write(manifest, rooms, members)
    click.echo(f"{describe_machine()}. {rooms:,} rooms × {members} members.")
    log = stack.data / "logs" / "relay.log"
    relay = ManagedProcess("relay", [*PYTHON, "relay"], log=log, environment=stack.environment())
    relay.start()
    try:
        async with running(Contender("ours", (*PYTHON, "serve")), 1, stack) as servers:
            for verb in ("plan", "apply", "apply", "plan"):
                before = servers.cpu()
                cost = await asyncio.to_thread(
                    _run_command, stack, servers.ports[0], verb, manifest
                )
                web = (servers.cpu() - before) / rooms * 1000
                click.echo(
                    f"{verb}: {cost.seconds:.1f} s, {rooms / cost.seconds:.0f} rooms/s; the script "
                    f"{cost.cpu:.1f} s of CPU, {cost.largest:.0f} MiB at its largest; the server "
                    f"{web:.1f} ms of CPU a room. {cost.last_line}"
                )
    finally:
        stop_all([relay], 2.0)


def _write(manifest: Path, rooms: int, members: int) -> None:
    with manifest.open("w") as file:
        file.write("rooms:\n")
        for n in range(rooms):
            file.write(f"  - external_id: order-{n}\n    name: Order {n}\n    members:\n")
            file.writelines(f"      - user-{(n * members + m) % 5_000}\n" for m in range(members))


def _run_command(stack: Stack, port: int, verb: str, manifest: Path) -> CommandCost:
    token = auth.issue(stack.settings, "ops", scope="operator")
    environment = without_settings(dict(os.environ)) | {
        "RTS_URL": f"http://127.0.0.1:{port}",
        "RTS_TOKEN": token,
    }
    began = time.monotonic()
    command = [sys.executable, str(SCRIPT), verb, str(manifest), "--json"]
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, env=environment, stdout=out)
        largest, cpu = 0, 0.0
        while child.poll() is None:
            # getrusage would include the peak of this process, from before the exec
            with suppress(subprocess.CalledProcessError, OSError, ValueError):
                largest = max(largest, resident_bytes(child.pid))
                cpu = cpu_seconds(child.pid)
            time.sleep(SAMPLE_EVERY_SECONDS)
        seconds = time.monotonic() - began
        out.seek(0)
        last_line = out.read().splitlines()[-1].decode()
    return CommandCost(seconds, cpu, largest / 1024**2, last_line)


if __name__ == "__main__":
    main()
