"""Ports of the development stack."""

from __future__ import annotations

import random
import socket
import tempfile
from pathlib import Path

import pytest

from rts_server.tools.dev import ports
from rts_server.tools.dev.stack_error import StackError


def test_a_listener_makes_a_port_busy() -> None:
    """A port is busy while somebody listens on it, and free before and after."""
    with socket.socket() as listener:
        listener.bind((ports.LOCAL, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_ports_are_claimed_before_they_are_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two that look for ports at the same time find different ones, also before they listen."""
    tries = iter([21_000, 21_001, 21_000, 21_002])
    monkeypatch.setattr(random, "randrange", lambda *bounds: next(tries))
    monkeypatch.setattr(ports, "is_free", lambda port: True)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    first = ports.claim_ports(2)
    assert first == 21_000
    assert ports.claim_ports(2) == 21_002


def test_ports_are_remembered(tmp_path: Path) -> None:
    """The second start has the ports of the first; a new name gets one of its own."""
    first = ports.remembered_ports(tmp_path / "ports.json", ["Valkey"])
    second = ports.remembered_ports(tmp_path / "ports.json", ["Valkey", "local AWS"])
    assert second["Valkey"] == first["Valkey"] != second["local AWS"]


def test_a_remembered_port_in_use_is_named(tmp_path: Path) -> None:
    """A remembered port in use is an error: the local AWS has stored URLs with it."""
    port = ports.remembered_ports(tmp_path / "ports.json", ["local AWS"])["local AWS"]
    with socket.socket() as listener:
        listener.bind((ports.LOCAL, port))
        listener.listen()
        with pytest.raises(StackError, match=f"Port {port}, which .* keeps for its local AWS"):
            ports.remembered_ports(tmp_path / "ports.json", ["local AWS"])


def test_a_broken_file_is_ignored(tmp_path: Path) -> None:
    """A file that is not JSON is treated like a missing one."""
    (tmp_path / "ports.json").write_text("{")
    assert ports.remembered_ports(tmp_path / "ports.json", ["Valkey"])
