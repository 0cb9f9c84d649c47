"""Ports of the development stack."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rts_server.tools.dev import ports
from rts_server.tools.dev.stack_error import StackError


def test_a_listener_makes_a_port_busy() -> None:
    """A port is free until somebody listens, and again after."""
    with socket.socket() as listener:
        listener.bind((ports.LOCAL, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.free(port)
    assert ports.free(port)


def test_ports_are_kept(tmp_path: Path) -> None:
    """The second start has the ports of the first; a new name gets one of its own."""
    first = ports.kept(tmp_path / "ports.json", ["Valkey"])
    second = ports.kept(tmp_path / "ports.json", ["Valkey", "local AWS"])
    assert second["Valkey"] == first["Valkey"] != second["local AWS"]


def test_a_kept_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """What listens on a kept port is not worked around: the local AWS stored URLs with it."""
    port = ports.kept(tmp_path / "ports.json", ["local AWS"])["local AWS"]
    with socket.socket() as listener:
        listener.bind((ports.LOCAL, port))
        listener.listen()
        with pytest.raises(StackError, match=f"Port {port}, which .* keeps for its local AWS"):
            ports.kept(tmp_path / "ports.json", ["local AWS"])


def test_a_broken_note_is_forgotten(tmp_path: Path) -> None:
    """A file that is no JSON counts as none."""
    (tmp_path / "ports.json").write_text("{")
    assert ports.kept(tmp_path / "ports.json", ["Valkey"])
