"""What the platform runs as root on an instance."""

from __future__ import annotations

import os
import subprocess
from configparser import ConfigParser
from pathlib import Path

import botocore.session
import pytest

from rts_server.processes import KILL_AFTER_SECONDS
from tests.deployment.platform import OURS

HOOK = OURS.parent / "hooks" / "prebuild" / "10_units.sh"
ROLE = "arn:aws:iam::123456789012:role/"


def units(root: Path, **given: str) -> dict[str, dict[str, str]]:
    """The drop-in of each process after two deployments."""
    for _ in range(2):
        subprocess.run([HOOK], env={**os.environ, "RTS_ROOT": str(root), **given}, check=True)
    found = {}
    for process in ("web", "relay"):
        unit = ConfigParser()
        unit.read(root / "etc" / "systemd" / "system" / f"{process}.service.d" / "rts.conf")
        found[process] = dict(unit["Service"])
    return found


def test_processes_get_files_and_time(tmp_path: Path) -> None:
    """More files than nginx hands on, more time than a drain takes; no role unless given."""
    assert os.access(HOOK, os.X_OK)
    for unit in units(tmp_path).values():
        assert int(unit["limitnofile"]) >= 65536
        assert int(unit["timeoutstopsec"]) > KILL_AFTER_SECONDS
        assert "environment" not in unit


def test_each_process_gets_its_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile for each, as botocore reads it, and the unit names its own."""
    given = {"RTS_WEB_ROLE_ARN": ROLE + "web", "RTS_RELAY_ROLE_ARN": ROLE + "relay"}
    for process, unit in units(tmp_path, **given).items():
        named = f"AWS_CONFIG_FILE=/etc/rts/aws.config AWS_PROFILE={process}"
        assert unit["environment"] == named
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "etc" / "rts" / "aws.config"))
    profiles = botocore.session.Session().full_config["profiles"]
    assert profiles == {
        process: {"role_arn": ROLE + process, "credential_source": "Ec2InstanceMetadata"}
        for process in ("web", "relay")
    }
