"""The hooks that the platform runs as root on an instance."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import botocore.session
import pytest

from rts_server.persistence import aws
from rts_server.processes import PROCESS_KILL_AFTER_SECONDS
from tests.deployment.platform import OURS, ROOT, UNITS
from tests.helpers.waiting import PATIENCE

HOOKS = OURS.parent / "hooks"
AGENT = HOOKS / "postdeploy" / "20_agent.sh"
ROLE = "arn:aws:iam::123456789012:role/"
ROLES = {"RTS_WEB_ROLE_ARN": ROLE + "web", "RTS_RELAY_ROLE_ARN": ROLE + "relay"}


def units(root: Path, **given: str) -> dict[str, dict[str, dict[str, str]]]:
    """Sections of each unit's drop-in after two deployments under a strict umask.

    Each deployment deletes the units' folders under /etc/systemd/system after the hook has run.
    """
    environment = {**os.environ, "RTS_ROOT": str(root), **given}
    for _ in range(2):
        subprocess.run(["sh", "-c", f"umask 077; exec {UNITS}"], env=environment, check=True)
    assert not (root / "etc" / "systemd").exists()
    found = {}
    for unit in ("web", "relay", "nginx"):
        parsed = ConfigParser()
        parsed.read(root / "usr" / "lib" / "systemd" / "system" / f"{unit}.service.d" / "rts.conf")
        found[unit] = {name: dict(parsed[name]) for name in parsed.sections()}
    return found


def test_processes_get_enough_files_and_time_to_stop(tmp_path: Path) -> None:
    """The file limit is above nginx's connections, the stop timeout above that of a drain."""
    assert os.access(UNITS, os.X_OK)
    found = units(tmp_path)
    for process in ("web", "relay"):
        unit = found[process]["Service"]
        assert int(unit["limitnofile"]) >= 65536
        assert int(unit["timeoutstopsec"]) > PROCESS_KILL_AFTER_SECONDS
        assert "AWS_PROFILE" not in unit["environment"]


def test_a_web_process_runs_on_each_core(tmp_path: Path) -> None:
    """Unit and upstream have as many as the host has cores, or as the property says."""
    for given, count in (({}, len(os.sched_getaffinity(0))), ({"RTS_WEB_PROCESSES": "3"}, 3)):
        web = units(tmp_path, **given)["web"]["Service"]
        assert web["environment"] == f"RTS_WEB_PROCESSES={count}"
        upstream = (tmp_path / "etc" / "rts" / "upstream.conf").read_text()
        assert re.findall(r"server 127.0.0.1:(\d+)", upstream) == [
            str(8000 + n) for n in range(count)
        ]


def test_nginx_ends_after_web_has_drained(tmp_path: Path) -> None:
    """Units stop in the reverse order of After=, and nginx has more time than web."""
    found = units(tmp_path)
    assert found["web"]["Unit"] == {"after": "nginx.service"}
    times = [int(found[unit]["Service"]["timeoutstopsec"]) for unit in ("nginx", "web")]
    assert times[0] > times[1]


def test_each_process_gets_its_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore reads a profile for each process, and the unit of the process names it."""
    for process, unit in units(tmp_path, **ROLES).items():
        if process != "nginx":
            named = f"AWS_CONFIG_FILE=/etc/rts/aws.config AWS_PROFILE={process}"
            assert unit["Service"]["environment"].endswith(f" {named}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "etc" / "rts" / "aws.config"))
    profiles = botocore.session.Session().full_config["profiles"]
    assert profiles == {
        process: {"role_arn": ROLE + process, "credential_source": "Ec2InstanceMetadata"}
        for process in ("web", "relay")
    }
    monkeypatch.setenv("AWS_PROFILE", "web")
    assert aws.profile_role() == ROLE + "web"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert aws.profile_role() is None


def test_every_user_may_read_the_profiles(tmp_path: Path) -> None:
    """The file is readable by all whatever the umask, because the processes are not root's."""
    units(tmp_path, **ROLES)
    folder = tmp_path / "etc" / "rts"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {"rts": 0o755, "aws.config": 0o644, "upstream.conf": 0o644}


@pytest.mark.parametrize(
    ("command", "variable"), [("serve", "RTS_WEB_ROLE_ARN"), ("relay", "RTS_RELAY_ROLE_ARN")]
)
def test_a_process_without_its_role_does_not_start(command: str, variable: str) -> None:
    """If a role is required and no profile has it, the process ends with exit code 1."""
    environment = {
        "PATH": os.environ["PATH"],
        "RTS_JWT_SECRET": "s" * 32,
        "AWS_CONFIG_FILE": "/nonexistent",
        **ROLES,
    }
    done = subprocess.run(
        [sys.executable, "-m", "rts_server", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert variable in done.stderr


def test_the_agent_is_configured_after_the_platform_has(tmp_path: Path) -> None:
    """Each deployment appends the configuration to that which the platform has written."""
    folder = tmp_path / "opt" / "aws" / "amazon-cloudwatch-agent"
    program = folder / "bin" / "amazon-cloudwatch-agent-ctl"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n')
    program.chmod(0o755)
    environment = {**os.environ, "RTS_ROOT": str(tmp_path)}
    for hook in (AGENT, OURS.parent / "confighooks" / "postdeploy" / AGENT.name):
        subprocess.run([hook], env=environment, check=True)
    called = (tmp_path / "called").read_text().splitlines()
    assert called == [f"-a append-config -m ec2 -s -c file:{folder}/etc/rts.json"] * 2
    written = (ROOT / ".ebextensions" / "03-agent.config").read_text()
    assert '"/opt/aws/amazon-cloudwatch-agent/etc/rts.json":' in written
    assert "container_commands" not in written
