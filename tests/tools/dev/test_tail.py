"""What the terminal shows of a child's log."""

from __future__ import annotations

from pathlib import Path

from rts_server.tools.dev.tail import Tail


def test_warnings_and_tracebacks_are_news_once(tmp_path: Path) -> None:
    """Warnings and what is no JSON are shown once, whole lines only; information is not."""
    log = tmp_path / "web.log"
    tail = Tail(log)
    assert tail.news() == []
    with log.open("w") as file:
        file.write('{"level": "info", "message": "quiet"}\n{"level": "warning", "message": "w"}\n')
        file.write("Traceback (most recent call last):\n\nhalf a li")
    assert tail.news() == [
        '{"level": "warning", "message": "w"}',
        "Traceback (most recent call last):",
    ]
    assert tail.news() == []
    with log.open("a") as file:
        file.write("ne\n")
    assert tail.news() == ["half a line"]


def test_old_lines_are_no_news(tmp_path: Path) -> None:
    """A tail starts where the file ended."""
    log = tmp_path / "web.log"
    log.write_text("old\n")
    tail = Tail(log)
    with log.open("a") as file:
        file.write("new\n")
    assert tail.news() == ["new"]
