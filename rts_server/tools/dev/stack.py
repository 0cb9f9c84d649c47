"""Valkey and a local AWS with the template deployed: all that web and relay need.

Tests start a stack and run their own web processes; `rts-server dev` runs everything on one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

from rts_server import config_listing, config_loading
from rts_server.config import Settings
from rts_server.tools.dev import deploy, ports, zips
from rts_server.tools.dev.aws import AWS_START_TIMEOUT_SECONDS, CREDENTIALS, LocalAws, is_local
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.stack_error import StackError
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import PORTS_PER_NODE, ValkeyCluster

SECRET_FILE = "secret"
PORTS_FILE = "ports.json"
STATE_FILE = "stack.json"
DATA_FOLDERS = ("valkey", "aws", "logs")
VARIABLES_OF_PARTS = {"Valkey": "RTS_REDIS_URL", "local AWS": "AWS_ENDPOINT_URL"}
"""Setting one of these variables replaces that part of the stack."""
STOP_TIMEOUT_SECONDS = 4.5
LOCK_TIMEOUT_SECONDS = 6.0


def development_secret(data: Path) -> str:
    """Return the JWT secret of a data directory; it is created once, readable by its owner."""
    path = data / SECRET_FILE
    data.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


class Stack:
    """Valkey and a local AWS on free ports of 127.0.0.1, with their data under `data`.

    `environ` (default: os.environ) may set RTS_REDIS_URL or AWS_ENDPOINT_URL; that part is then
    not started. With several `shards` Valkey is a cluster, of a primary each. `parameters` are
    those of the template. `report` receives each finished step. Start it on the main thread (see
    ManagedProcess).

    Attributes:
        is_cluster: Whether Valkey is a cluster, from the next start on: it is with several shards.
        replicas: Of each shard of a cluster, from the next start on.
    """

    def __init__(
        self,
        data: Path,
        *,
        environ: Mapping[str, str] | None = None,
        limits: str | None = None,
        parameters: Mapping[str, str] | None = None,
        template: Path = deploy.TEMPLATE,
        shards: int = 1,
        report: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Raises ConfigError for an invalid setting."""
        self.data = data.absolute()
        self.environ = dict(os.environ if environ is None else environ)
        self.parameters = dict(parameters or {})
        self.template = template
        self.settings: Settings = config_loading.load(
            {"RTS_LIMITS": "relaxed", "RTS_DRAIN_SPREAD": "0", "RTS_DRAIN_RATE": "100000"}
            | self.environ
            | {"RTS_DEV": "1"}
            | ({"RTS_LIMITS": limits} if limits else {})
        )
        self.shards = shards
        self.is_cluster = shards > 1
        self.replicas = 0
        self.valkey: Valkey | None = None
        self.cluster: ValkeyCluster | None = None
        self.aws: LocalAws | None = None
        self._report = report
        self._lock: int | None = None

    def start(self, *, fresh: bool = False) -> None:
        """Start the missing parts and deploy. `fresh` deletes all data except the secret.

        Raises StackError, with nothing left running.
        """
        try:
            self._lock_data()
            self._delete_state()
            if fresh:
                self._delete_data()
            self._configure()
            self._start_parts()
        except BaseException:
            self.stop()
            raise

    def stop(self, within: float = STOP_TIMEOUT_SECONDS) -> None:
        """Stop the parts, which save their data, within this many seconds."""
        stop_all(self.processes(), within)
        if self._lock is not None:
            self._delete_state()
            os.close(self._lock)
            self._lock = None

    def processes(self) -> list[ManagedProcess]:
        """Return the processes that this stack has started."""
        nodes = self.cluster.nodes if self.cluster is not None else ()
        return [process for process in (self.valkey, *nodes, self.aws) if process is not None]

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that uses this stack.

        It holds the settings and, for a local AWS, its credentials.
        """
        environment = dict(self.environ)
        if is_local(self.settings):
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
                environment.pop(name, None)
            environment |= CREDENTIALS | {"AWS_EC2_METADATA_DISABLED": "true"}
        direct = f"{ports.LOCAL},localhost"
        for name in ("no_proxy", "NO_PROXY"):
            environment[name] = ",".join(filter(None, (environment.get(name), direct)))
        return environment | config_listing.environment(self.settings)

    def deploy(self) -> None:
        """Deploy the template and warm the functions. Raises StackError."""
        packed = zips.build()
        outcome = deploy.deploy(
            self.settings, packed, template=self.template, parameters=self.parameters
        )
        if self.aws is not None:
            deploy.limit_concurrency(self.settings)
        self._report(f"queues, tables, bucket, functions: {outcome}")
        deploy.warm_functions(self.settings, packed)
        self._report("both functions are warm")

    def write_state(self, **more: Any) -> None:
        """Write `stack.json`: process ids, ports and URLs, for commands and tests that use them."""
        state: dict[str, Any] = {"pid": os.getpid()}
        for name, process in (("valkey", self.valkey), ("aws", self.aws)):
            if process is not None:
                state[name] = {"pid": process.pid, "port": process.port, "url": process.url}
        if self.cluster is not None:
            nodes = [{"pid": one.pid, "port": one.port} for one in self.cluster.nodes]
            state["cluster"] = {"nodes": nodes, "url": self.cluster.url}
        # Renamed into place, so that no reader sees half of it.
        new = self.data / f"{STATE_FILE}.new"
        new.write_text(json.dumps(state | more, indent=1))
        new.replace(self.data / STATE_FILE)

    def _lock_data(self) -> None:
        """Lock the data directory. Raises StackError if another stack runs on it.

        The parts inherit the lock, so it is held until they have saved their data.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
        while not _try_lock(lock):
            if (owner := self._running_owner()) or time.monotonic() > deadline:
                os.close(lock)
                who = f" (process {owner})" if owner else ""
                raise StackError(f"A stack is already running on {self.data}{who}.")
            time.sleep(0.05)
        self._lock = lock

    def _running_owner(self) -> int:
        """Return the id of the process that runs a stack here, or 0 if it has ended."""
        try:
            pid = int(json.loads((self.data / STATE_FILE).read_text())["pid"])
            os.kill(pid, 0)
        except (OSError, ValueError, KeyError):
            return 0
        return pid

    def _delete_state(self) -> None:
        """Delete `stack.json`, which a killed stack may have left."""
        (self.data / STATE_FILE).unlink(missing_ok=True)

    def _delete_data(self) -> None:
        for folder in (*self.data.glob("cluster-*"), *map(self.data.joinpath, DATA_FOLDERS)):
            shutil.rmtree(folder, ignore_errors=True)
        (self.data / PORTS_FILE).unlink(missing_ok=True)

    def _configure(self) -> None:
        """Choose ports and secret, create the parts, and complete the settings."""
        missing = [part for part, name in VARIABLES_OF_PARTS.items() if not self.environ.get(name)]
        if self.is_cluster and "Valkey" not in missing:
            raise StackError("RTS_REDIS_URL names a Redis that runs already: leave out --shards.")
        alone = [part for part in missing if part != "Valkey" or not self.is_cluster]
        chosen = ports.remembered_ports(self.data / PORTS_FILE, alone)
        logs = self.data / "logs"
        fds = [self._lock] if self._lock is not None else []
        changes: dict[str, Any] = {}
        if not self.settings.jwt_secret:
            changes["jwt_secret"] = development_secret(self.data)
        if "Valkey" in alone:
            self.valkey = Valkey(
                self.data / "valkey", chosen["Valkey"], log=logs / "valkey.log", inherited_fds=fds
            )
            changes["redis_url"] = self.valkey.url
        elif "Valkey" in missing:
            self.cluster = self._new_cluster(logs, fds)
            changes |= {"redis_url": self.cluster.url, "redis_cluster": 1}
        if "local AWS" in missing:
            self.aws = LocalAws(
                self.data / "aws",
                chosen["local AWS"],
                self.settings.aws_region,
                log=logs / "aws.log",
                inherited_fds=fds,
            )
            changes["aws_endpoint_url"] = self.aws.url
        self.settings = replace(self.settings, **changes)

    def _new_cluster(self, logs: Path, fds: list[int]) -> ValkeyCluster:
        """Return the cluster of so many shards; each number of them has data of its own."""
        names = [f"shard {number} of {self.shards}" for number in range(1, self.shards + 1)]
        chosen = ports.remembered_ports(self.data / PORTS_FILE, names, PORTS_PER_NODE)
        firsts = [chosen[name] for name in names]
        firsts += [ports.claim_ports(PORTS_PER_NODE) for _ in range(self.shards * self.replicas)]
        folder = self.data / f"cluster-{self.shards}"
        return ValkeyCluster(folder, firsts, replicas=self.replicas, logs=logs, inherited_fds=fds)

    def _check_given_redis(self) -> None:
        """Raises StackError, without the URL, which may hold a password."""
        given = redis.Redis.from_url(self.settings.redis_url, socket_connect_timeout=2)
        try:
            given.ping()
        except redis.RedisError as error:
            raise StackError(f"The Redis of RTS_REDIS_URL does not answer: {error}") from None
        finally:
            given.close()

    def _start_parts(self) -> None:
        # The AWS takes seconds to start: it is launched first, and Valkey starts meanwhile.
        if self.aws is not None:
            self.aws.launch()
        if self.valkey is not None:
            self.valkey.start_and_wait()
            self._report(f"Valkey on {self.settings.redis_url}")
        elif self.cluster is not None:
            self.cluster.start_and_wait()
            listed = ", ".join(str(node.port) for node in self.cluster.nodes)
            self._report(f"a cluster of {self.shards} Valkeys on ports {listed}")
        else:
            self._check_given_redis()
        if self.aws is not None:
            self.aws.wait_healthy(AWS_START_TIMEOUT_SECONDS)
            self._report(f"local AWS on {self.settings.aws_endpoint_url}")
        self.deploy()
        self.write_state()


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
