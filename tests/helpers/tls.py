"""A Redis with TLS, from the first source that this machine offers.

A redis-server or valkey-server on the PATH that was built with it; Debian's, unpacked from its
packages without being installed; else nginx, which ends TLS in front of the Valkey of the wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from rts_server.tools.dev.ports import is_free
from tests.deployment import platform
from tests.helpers import valkey
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import free_port

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / "build" / "redis-of-debian"
PACKAGES = ("redis-tools", "libjemalloc2", "liblua5.1-0", "liblzf1", "lua-cjson", "lua-bitop")
"""redis-server is in redis-tools, under the name of one of its checkers."""
STREAM = """
{user}worker_processes 1;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
stream {{
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.pem;
        proxy_pass 127.0.0.1:{behind};
    }}
}}
"""


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Run it; yield its URL (without the authority), the authority's certificate, and its kind."""
    _certified(folder)
    port = free_port()
    with ExitStack() as stack:
        if (found := _server()) is not None:
            what, environment = found
            stack.enter_context(_redis(what, environment, folder, port))
        else:
            what = "nginx before Valkey"
            stack.enter_context(_terminated(folder, port))
        yield f"rediss://127.0.0.1:{port}/0", folder / "authority.pem", what


@contextmanager
def _redis(program: str, environment: Mapping[str, str], folder: Path, port: int) -> Iterator[None]:
    pem = str(folder / "server.pem")
    options = {"port": "0", "tls-port": str(port), "bind": "127.0.0.1", "save": ""}
    options |= {"tls-cert-file": pem, "tls-key-file": pem, "tls-auth-clients": "no"}
    options |= {"tls-ca-cert-file": str(folder / "authority.pem"), "loglevel": "warning"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    child = subprocess.Popen(
        [program, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: not is_free(port))
        yield
    finally:
        child.terminate()
        child.wait(PATIENCE)


@contextmanager
def _terminated(folder: Path, port: int) -> Iterator[None]:
    with valkey.running(folder) as url:
        behind = url.removeprefix("redis://127.0.0.1:").partition("/")[0]
        with platform.running({port: _stream(folder, port, int(behind))}):
            yield


@contextmanager
def running_before(folder: Path, behind: int) -> Iterator[int]:
    """Run nginx that terminates TLS on 127.0.0.1 for a port; `authority.pem` is in the folder."""
    _certified(folder)
    port = free_port()
    with platform.running({port: _stream(folder, port, behind)}):
        yield port


def _certified(folder: Path) -> None:
    """Create a certificate for 127.0.0.1, and its authority."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))


def _stream(folder: Path, port: int, behind: int) -> Path:
    conf = folder / "nginx.conf"
    conf.write_text(STREAM.format(user=platform.USER, folder=folder, port=port, behind=behind))
    return conf


def _server() -> tuple[str, dict[str, str]] | None:
    """Return a program with TLS and the environment it needs."""
    environment = dict(os.environ)
    for name in ("redis-server", "valkey-server"):
        if (path := shutil.which(name)) and _speaks_tls(path, environment):
            return path, environment
    program = _of_debian()
    if program is None:
        return None
    libraries = {str(path.parent) for path in UNPACKED.glob("usr/lib/**/*.so*")}
    environment["LD_LIBRARY_PATH"] = ":".join(sorted(libraries))
    return (program, environment) if _speaks_tls(program, environment) else None


def _of_debian() -> str | None:
    """Return the server of Debian's package, unpacked below build/ at the first use."""
    if not UNPACKED.exists() and not (shutil.which("apt-get") and shutil.which("dpkg")):
        return None
    if not UNPACKED.exists():
        fetched = UNPACKED.with_suffix(".fetched")
        fetched.mkdir(parents=True, exist_ok=True)
        got = subprocess.run(
            ["apt-get", "download", *PACKAGES], cwd=fetched, capture_output=True, check=False
        )
        if got.returncode:
            return None
        for package in fetched.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, fetched / "root"], check=True)
        (fetched / "root" / "usr" / "bin" / "redis-server").symlink_to("redis-check-rdb")
        (fetched / "root").rename(UNPACKED)
        shutil.rmtree(fetched)
    return str(UNPACKED / "usr" / "bin" / "redis-server")


def _speaks_tls(program: str, environment: Mapping[str, str]) -> bool:
    """Whether it has TLS: then it complains about the certificate, not about the option."""
    asked = [program, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/nowhere"]
    asked += ["--tls-key-file", "/nowhere", "--loglevel", "verbose"]
    said = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    return "Failed to configure TLS" in said.stdout
