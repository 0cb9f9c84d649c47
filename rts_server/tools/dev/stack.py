"""Valkey and the local AWS with the template deployed: all that web and relay need.

Tests start one and run their own web instances; `rts-server dev` runs everything on top of one.
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

from rts_server import config
from rts_server.config import Settings
from rts_server.tools.dev import deploy, ports, zips
from rts_server.tools.dev.aws import CREDENTIALS, LocalAws, on_this_machine
from rts_server.tools.dev.managed_process import ManagedProcess, end
from rts_server.tools.dev.stack_error import StackError
from rts_server.tools.dev.valkey import Valkey

DATA = Path(".rts")
SECRET = "secret"
PORTS = "ports.json"
NOTE = "stack.json"
GIVEN = {"Valkey": "RTS_REDIS_URL", "local AWS": "AWS_ENDPOINT_URL"}
"""Part → the variable that makes it somebody else's."""
END_WITHIN = 4.5
LEFTOVERS = 6.0


def secret(data: Path) -> str:
    """The development secret of a data directory, made at its first use, readable by its owner."""
    path = data / SECRET
    data.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Stack:
    """The parts that are not ours, on free ports of 127.0.0.1, their data under `data`.

    `environ` (default: the process's own) may give RTS_REDIS_URL or AWS_ENDPOINT_URL: that part is
    then not started. `parameters` are the template's. `tell` hears of every step.
    Start it on the main thread (see Child).
    """

    def __init__(
        self,
        data: Path,
        *,
        environ: Mapping[str, str] | None = None,
        limits: str | None = None,
        parameters: Mapping[str, str] | None = None,
        template: Path = deploy.TEMPLATE,
        tell: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Raises ConfigError for a setting that is wrong."""
        self.data = data.absolute()
        self.environ = dict(os.environ if environ is None else environ)
        self.parameters = dict(parameters or {})
        self.template = template
        self.tell = tell
        self.settings: Settings = config.load(
            {"RTS_LIMITS": "relaxed", "RTS_DRAIN_SPREAD": "0"}
            | self.environ
            | {"RTS_DEV": "1"}
            | ({"RTS_LIMITS": limits} if limits else {})
        )
        self.valkey: Valkey | None = None
        self.aws: LocalAws | None = None
        self._lock: int | None = None

    def start(self, *, fresh: bool = False) -> None:
        """Start what is missing and deploy. `fresh` forgets all data but the secret.

        Raises Trouble, with nothing left running.
        """
        try:
            self._claim()
            self._forget()
            if fresh:
                self._empty()
            self._settle()
            self._open()
        except BaseException:
            self.stop()
            raise

    def stop(self, within: float = END_WITHIN) -> None:
        """End the children; they save their data. At most `within` seconds."""
        end(self.children(), within)
        if self._lock is not None:
            self._forget()
            os.close(self._lock)
            self._lock = None

    def children(self) -> list[ManagedProcess]:
        """What this stack has started."""
        return [child for child in (self.valkey, self.aws) if child is not None]

    def environment(self) -> dict[str, str]:
        """For a process that is to use this stack: settings, and credentials for a local AWS."""
        environment = dict(self.environ)
        if on_this_machine(self.settings):
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
                environment.pop(name, None)
            environment |= CREDENTIALS | {"AWS_EC2_METADATA_DISABLED": "true"}
        direct = f"{ports.LOCAL},localhost"
        for name in ("no_proxy", "NO_PROXY"):
            environment[name] = ",".join(filter(None, (environment.get(name), direct)))
        return environment | config.environment(self.settings)

    def deploy(self) -> None:
        """Bring the AWS to the template and warm the functions. Raises Trouble."""
        packed = zips.build()
        done = deploy.deploy(
            self.settings, packed, template=self.template, parameters=self.parameters
        )
        if self.aws is not None:
            deploy.bound(self.settings)
        self.tell(f"queues, tables, bucket, functions: {done}")
        deploy.warm(self.settings, packed)
        self.tell("both functions are warm")

    def note(self, **more: Any) -> None:
        """Write `stack.json`: process ids, ports and URLs, for those who kill parts of it."""
        known: dict[str, Any] = {"pid": os.getpid()}
        for name, child in (("valkey", self.valkey), ("aws", self.aws)):
            if child is not None:
                known[name] = {"pid": child.pid, "port": child.port, "url": child.url}
        written = self.data / f"{NOTE}.new"
        written.write_text(json.dumps(known | more, indent=1))
        written.replace(self.data / NOTE)

    def _claim(self) -> None:
        """One stack per data directory. The children hold the lock as well, until they saved."""
        self.data.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + LEFTOVERS
        while not _locked(lock):
            if (owner := self._owner()) or time.monotonic() > deadline:
                os.close(lock)
                who = f" (process {owner})" if owner else ""
                raise StackError(f"A stack is already running on {self.data}{who}.")
            time.sleep(0.05)
        self._lock = lock

    def _owner(self) -> int:
        """The process that runs a stack here, 0 when it is gone and its children are ending."""
        try:
            pid = int(json.loads((self.data / NOTE).read_text())["pid"])
            os.kill(pid, 0)
        except (OSError, ValueError, KeyError):
            return 0
        return pid

    def _forget(self) -> None:
        """The note of a stack that is no more, perhaps killed."""
        (self.data / NOTE).unlink(missing_ok=True)

    def _empty(self) -> None:
        for name in ("valkey", "aws", "logs"):
            shutil.rmtree(self.data / name, ignore_errors=True)
        (self.data / PORTS).unlink(missing_ok=True)

    def _settle(self) -> None:
        """Choose ports and secret, and make the settings whole."""
        missing = [name for name, variable in GIVEN.items() if not self.environ.get(variable)]
        chosen = ports.kept(self.data / PORTS, missing)
        logs = self.data / "logs"
        keep = [self._lock] if self._lock is not None else []
        changes: dict[str, Any] = {}
        if not self.settings.jwt_secret:
            changes["jwt_secret"] = secret(self.data)
        if "Valkey" in missing:
            where = self.data / "valkey"
            self.valkey = Valkey(where, chosen["Valkey"], log=logs / "valkey.log", keep=keep)
            changes["redis_url"] = self.valkey.url
        if "local AWS" in missing:
            where, region = self.data / "aws", self.settings.aws_region
            log = logs / "aws.log"
            self.aws = LocalAws(where, chosen["local AWS"], region, log=log, keep=keep)
            changes["aws_endpoint_url"] = self.aws.url
        self.settings = replace(self.settings, **changes)

    def _reach(self) -> None:
        """A Redis that was given must be there. The URL may hold a password and is not told."""
        given = redis.Redis.from_url(self.settings.redis_url, socket_connect_timeout=2)
        try:
            given.ping()
        except redis.RedisError as error:
            raise StackError(f"The Redis of RTS_REDIS_URL does not answer: {error}") from None
        finally:
            given.close()

    def _open(self) -> None:
        if self.aws is not None:
            self.aws.begin()
        if self.valkey is not None:
            self.valkey.open()
            self.tell(f"Valkey on {self.settings.redis_url}")
        else:
            self._reach()
        if self.aws is not None:
            self.aws.ready()
            self.tell(f"local AWS on {self.settings.aws_endpoint_url}")
        self.deploy()
        self.note()
