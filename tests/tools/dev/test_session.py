"""`rts-server dev` as a developer runs it: a process of its own, with two web processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from rts_server.tools.dev import ports
from tests.helpers.processes import clean_environment, group, until_gone
from tests.helpers.waiting import PATIENCE, promised, until

ROOT = Path(__file__).parents[3]


@dataclass
class Dev:
    """One data directory and the run on it."""

    data: Path
    port: int = field(default_factory=partial(ports.claim_ports, 2))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until both web processes answer."""
        self.data.mkdir(exist_ok=True)
        options = ["--instances=2", f"--port={self.port}", f"--data={self.data}"]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rts_server", "dev", *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A profile that does not exist: the developer's account must not be used.
                env=clean_environment() | {"AWS_PROFILE": "nobody"},
                start_new_session=True,
            )
        until(lambda: self.process is None or self.process.poll() is not None or self.up())
        assert self.up(), self.output.read_text()

    @property
    def output(self) -> Path:
        return self.data / "terminal.txt"

    def up(self) -> bool:
        return "web" in self.stack_state()

    def stack_state(self) -> dict[str, Any]:
        """`stack.json` of this run."""
        with suppress(OSError):
            state: dict[str, Any] = json.loads((self.data / "stack.json").read_text())
            if self.process and state["pid"] == self.process.pid:
                return state
        return {}

    def pids(self) -> list[int]:
        """All processes below this one, the functions of the local AWS too."""
        processes = self.stack_state()
        leaders = [processes[name]["pid"] for name in ("valkey", "aws", "relay")]
        leaders += [web["pid"] for web in processes["web"]]
        return [pid for leader in leaders for pid in group(leader)]

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.stack_state()["valkey"]["url"])

    def script(self, *words: str) -> str:
        """Run scripts/instances.py as an operator; return its output."""
        named = ["--user", "ops", "--scope", "operator", "--data", str(self.data)]
        token = subprocess.check_output(
            [sys.executable, "-m", "rts_server", "token", *named], env=clean_environment()
        )
        access = {
            "RTS_URL": self.stack_state()["web"][0]["url"],
            "RTS_TOKEN": token.decode().strip(),
        }
        return subprocess.check_output(
            [sys.executable, "scripts/instances.py", *words],
            env=clean_environment() | access,
            cwd=ROOT,
            text=True,
            timeout=PATIENCE,
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    dev = Dev(tmp_path_factory.mktemp("dev"))
    dev.start()
    yield dev
    dev.kill()


def test_each_instance_answers_on_its_own_port(dev: Dev) -> None:
    """Two web processes answer on consecutive ports."""
    webs = dev.stack_state()["web"]
    assert [web["port"] for web in webs] == [dev.port, dev.port + 1]
    assert len({web["pid"] for web in webs}) == 2
    for web in webs:
        assert ports.answers_ok(f"{web['url']}/health/live")


def test_the_terminal_shows_address_tokens_and_a_client(dev: Dev) -> None:
    """The output has the address, a token for each demo user, and a client to paste."""
    shown = dev.output.read_text()
    assert f"http://127.0.0.1:{dev.port}" in shown
    assert "/chat" in shown
    assert "socket.io-client" in shown
    for user in ("alice", "bob"):
        line = next(line for line in shown.splitlines() if line.strip().startswith(user))
        assert line.split()[1].count(".") == 2


def test_only_this_machine_is_served(dev: Dev) -> None:
    """Every listener of the stack is bound to 127.0.0.1."""
    processes = dev.stack_state()
    for url in (
        processes["valkey"]["url"],
        processes["aws"]["url"],
        *(w["url"] for w in processes["web"]),
    ):
        assert "//127.0.0.1:" in url
    assert dev.redis().config_get("bind") == {"bind": "127.0.0.1"}
    assert dev.redis().config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_second_run_is_refused(dev: Dev) -> None:
    """A second run on the same ports or data ends with one sentence and exit code 1."""
    for port, says in ((dev.port, f"Port {dev.port}"), (ports.claim_ports(2), "already running")):
        second = subprocess.run(
            [sys.executable, "-m", "rts_server", "dev", f"--port={port}", f"--data={dev.data}"],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert second.returncode == 1
        assert says in second.stderr
        assert second.stderr.count("\n") == 1
    assert dev.up()


def test_a_killed_process_is_restarted(dev: Dev) -> None:
    """Web process, relay and Valkey are restarted on their ports after SIGKILL."""
    before = dev.stack_state()
    victims = [before["web"][1]["pid"], before["relay"]["pid"], before["valkey"]["pid"]]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        now = dev.stack_state()
        return not {now["web"][1]["pid"], now["relay"]["pid"], now["valkey"]["pid"]} & set(victims)

    took = until(back)
    assert took >= 1.8, "2 s between death and start"
    now = dev.stack_state()
    assert now["valkey"]["url"] == before["valkey"]["url"]
    assert now["web"][0] == before["web"][0]
    url = now["web"][1]["url"]
    until(lambda: ports.answers_ok(f"{url}/health/live"))


def test_a_drained_process_is_replaced(dev: Dev) -> None:
    """The operator's command ends a web process, and a new one serves on its port."""
    before = dev.stack_state()["web"]
    listed = dev.script("list", "--json").splitlines()
    instance = min(json.loads(line)["instance_id"] for line in listed)
    dev.script("drain", instance)

    def replaced() -> bool:
        kept = [
            new["pid"] == old["pid"]
            for new, old in zip(dev.stack_state()["web"], before, strict=True)
        ]
        return sorted(kept) == [False, True]

    until(replaced)
    for web in before:
        until(lambda url=web["url"]: ports.answers_ok(f"{url}/health/ready"))  # type: ignore[misc]
    now = [json.loads(line)["instance_id"] for line in dev.script("list", "--json").splitlines()]
    assert instance not in now


def test_no_process_outlives_a_killed_parent_and_data_survive(dev: Dev) -> None:
    """SIGKILL of the parent ends all processes in 5 s; the next start has the data, in 10 s."""
    dev.redis().set("kept", "yes")
    secret = (dev.data / "secret").read_text()
    pids = dev.pids()
    assert len(pids) >= 6
    dev.kill()
    with promised(5):
        until_gone(pids)
    with promised(10):
        dev.start()
    assert dev.redis().get("kept") == b"yes"
    assert (dev.data / "secret").read_text() == secret
    assert "unchanged" in dev.output.read_text()


def test_ctrl_c_ends_everything(dev: Dev) -> None:
    """Ctrl-C ends all processes in 5 s with exit code 0, even if one hangs."""
    assert dev.process is not None
    pids = dev.pids()
    os.kill(dev.stack_state()["web"][0]["pid"], signal.SIGSTOP)
    with promised(5):
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(PATIENCE) == 0
        until_gone(pids)
    assert not (dev.data / "stack.json").exists()
