"""The local AWS child, and clients of whichever AWS the settings name."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from rts_server.config import Settings
from rts_server.persistence.aws import core
from rts_server.tools.dev import ports
from rts_server.tools.dev.managed_process import ManagedProcess
from rts_server.tools.dev.ports import LOCAL
from rts_server.tools.dev.stack_error import StackError

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""What the local AWS is told; it believes everyone."""

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "SYSTEMROOT")
_NO_PROFILE = {"profile": (None, None, None, None)}


def on_this_machine(settings: Settings) -> bool:
    """Whether the AWS of these settings is a local one."""
    return urlsplit(settings.aws_endpoint_url or "").hostname in (LOCAL, "localhost")


def client(settings: Settings, service: str) -> Any:
    """A boto3 client for building the stack.

    An endpoint on this machine never sees the person's own account: neither profile nor keys.
    """
    local = on_this_machine(settings)
    session = boto3.session.Session(
        botocore_session=core(_NO_PROFILE if local else None),
        region_name=settings.aws_region,
        **({name.lower(): value for name, value in CREDENTIALS.items()} if local else {}),
    )
    return session.client(  # type: ignore[call-overload]
        service,
        endpoint_url=settings.aws_endpoint_url,
        config=Config(
            connect_timeout=2,
            read_timeout=30,
            retries={"max_attempts": 2},
            s3={"addressing_style": "path"},
            proxies={} if local else None,
        ),
    )


class LocalAws(ManagedProcess):
    """ministack with its state under `directory`; SIGTERM saves it, SIGKILL loses the session."""

    def __init__(
        self, directory: Path, port: int, region: str, *, log: Path, keep: Iterable[int] = ()
    ) -> None:
        self.directory = directory.absolute()
        self.port = port
        command = [sys.executable, "-m", "rts_server.tools.dev.local_aws", str(port)]
        super().__init__(
            "local AWS", command, log=log, environment=self._environment(region), keep=keep
        )

    @property
    def url(self) -> str:
        """For AWS_ENDPOINT_URL."""
        return f"http://{LOCAL}:{self.port}"

    def open(self, within: float = 30.0) -> None:
        """Start, and return when it is ready. Raises Trouble."""
        self.begin()
        self.ready(within)

    def begin(self) -> None:
        """Start without waiting. Raises Trouble when the wheel is missing."""
        if _missing():
            raise StackError(
                "The ministack wheel is missing; run `make setup`, or give AWS_ENDPOINT_URL."
            )
        # Code that a killed predecessor unpacked for its functions.
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        for name in ("state", "s3", "tmp"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.start()

    def ready(self, within: float = 30.0) -> None:
        """Return when it serves. Raises Trouble."""
        deadline = time.monotonic() + within
        while not self.answers():
            if not self.alive or time.monotonic() > deadline:
                self.kill()
                raise StackError(f"The local AWS does not start: {self.last_words()}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether its health page is there."""
        return ports.says_ok(f"{self.url}/_ministack/health")

    def _environment(self, region: str) -> dict[str, str]:
        """Little is inherited: the functions would see it too."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return inherited | {
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": region,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.directory / "s3"),
            "TMPDIR": str(self.directory / "tmp"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # No container of this machine is any business of ours.
            "DOCKER_HOST": "unix:///nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            **CREDENTIALS,
        }


def _missing() -> bool:
    from importlib.util import find_spec

    return find_spec("ministack") is None
