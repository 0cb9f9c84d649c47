"""The local AWS as a managed process, and clients of the AWS that the settings name."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from rts_server.config import Settings
from rts_server.persistence.aws import botocore_session
from rts_server.tools.dev import ports
from rts_server.tools.dev.managed_process import ManagedProcess
from rts_server.tools.dev.ports import LOCAL
from rts_server.tools.dev.stack_error import StackError

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""Any credentials do; the local AWS does not check them."""

AWS_START_TIMEOUT_SECONDS = 30.0
_INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "SYSTEMROOT")
_NO_PROFILE = {"profile": (None, None, None, None)}


def is_local(settings: Settings) -> bool:
    """Return whether the AWS of these settings runs on this machine."""
    return urlsplit(settings.aws_endpoint_url or "").hostname in (LOCAL, "localhost")


def client(settings: Settings, service: str) -> Any:
    """Return a boto3 client for the endpoint and region of the settings.

    A local endpoint never receives the developer's own credentials: neither profile nor keys.
    """
    local = is_local(settings)
    session = boto3.session.Session(
        botocore_session=botocore_session(_NO_PROFILE if local else None),
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
    """ministack with its state under `directory`; it is saved on SIGTERM and lost on SIGKILL."""

    def __init__(
        self,
        directory: Path,
        port: int,
        region: str,
        *,
        log: Path,
        inherited_fds: Iterable[int] = (),
    ) -> None:
        self.directory = directory.absolute()
        self.port = port
        super().__init__(
            "The local AWS",
            [sys.executable, "-m", "rts_server.tools.dev.local_aws", str(port)],
            log=log,
            environment=self._environment(region),
            inherited_fds=inherited_fds,
        )

    @property
    def url(self) -> str:
        """Value for AWS_ENDPOINT_URL."""
        return f"http://{LOCAL}:{self.port}"

    def start_and_wait(self, within: float = AWS_START_TIMEOUT_SECONDS) -> None:
        """Start, and wait until it serves. Raises StackError after `within` seconds."""
        self.launch()
        self.wait_healthy(within)

    def launch(self) -> None:
        """Start without waiting. Raises StackError if the wheel is missing."""
        if find_spec("ministack") is None:
            raise StackError(
                "The ministack wheel is missing; run `make setup`, or set AWS_ENDPOINT_URL."
            )
        # Code of functions that a killed predecessor unpacked.
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        for name in ("state", "s3", "tmp"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.start()

    def is_healthy(self) -> bool:
        """Return whether its health page answers."""
        return ports.answers_ok(f"{self.url}/_ministack/health")

    def _environment(self, region: str) -> dict[str, str]:
        """Inherit little, because the functions see the same environment."""
        inherited = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
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
            # Do not use a container engine of this machine.
            "DOCKER_HOST": "unix:///nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            **CREDENTIALS,
        }
