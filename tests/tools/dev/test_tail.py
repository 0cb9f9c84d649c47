"""Log lines that `rts-server dev` shows on the terminal."""

from __future__ import annotations

from pathlib import Path

from rts_server.tools.dev.tail import Tail


def test_warnings_and_tracebacks_are_shown_once(tmp_path: Path) -> None:
    """Complete lines that are warnings or not JSON are shown once; those of level info are not."""
    log = tmp_path / "web.log"
    tail = Tail(log)
    assert tail.new_lines() == []
    with log.open("w") as file:
        file.write('{"level": "info", "message": "quiet"}\n{"level": "warning", "message": "w"}\n')
        file.write("Traceback (most recent call last):\n\nhalf a li")
    assert tail.new_lines() == [
        '{"level": "warning", "message": "w"}',
        "Traceback (most recent call last):",
    ]
    assert tail.new_lines() == []
    with log.open("a") as file:
        file.write("ne\n")
    assert tail.new_lines() == ["half a line"]


def test_old_lines_are_not_shown(tmp_path: Path) -> None:
    """Lines that were in the file before are skipped."""
    log = tmp_path / "web.log"
    log.write_text("old\n")
    tail = Tail(log)
    with log.open("a") as file:
        file.write("new\n")
    assert tail.new_lines() == ["new"]
