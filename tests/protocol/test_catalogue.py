"""The documents of the protocol agree with the registered commands, and are valid."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rts_server.engine import closing
from rts_server.namespaces.chat import ChatNamespace
from rts_server.namespaces.receipts import ReceiptsNamespace
from rts_server.protocol.catalogue import COMMANDS, REFRESH, answer_errors, event_errors
from rts_server.protocol.events import CLOSING_CODES
from scripts.wire.__main__ import ROOT, files, main
from tests.helpers.node import ensure_modules, node

AT = {"epoch": 1, "offset": 1}
TOTALS = {"total": 1, "rooms": 1}


def test_every_registered_command_is_in_the_catalogue() -> None:
    """Each namespace has the commands and payloads of the catalogue."""
    for namespace, kind in (("/chat", ChatNamespace), ("/receipts", ReceiptsNamespace)):
        registered = {name: type(schema) for name, (_, schema) in kind.commands.items()}
        listed = {name: c.payload for name, c in COMMANDS.items() if c.namespace == namespace}
        assert registered == listed | {"auth.refresh": REFRESH.payload}


def test_the_written_files_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    """The committed files are what the generator writes."""
    assert main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_a_stale_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` names it and writes nothing; without it the files are written."""
    monkeypatch.setattr("scripts.wire.__main__.ROOT", tmp_path)
    assert main(["--check"]) == 1
    assert "docs/protocol.md is stale" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_every_reason_of_a_close_is_in_the_catalogue() -> None:
    """The engine closes for no other reason than those of `session.closing`."""
    assert set(CLOSING_CODES) == closing.RECONNECT | closing.AWAY


def test_the_asyncapi_document_is_valid() -> None:
    """By the schema of AsyncAPI 3.0.0; every reference resolves."""
    document = json.loads(files()[ROOT / "docs" / "asyncapi.json"])
    folder = ensure_modules() / "node_modules" / "@asyncapi" / "specs" / "schemas"
    schema = json.loads((folder / "3.0.0-without-$id.json").read_text())
    jsonschema.Draft7Validator(schema).validate(document)
    for reference in references(document):
        here: Any = document
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]


def references(value: Any) -> list[str]:
    """All `$ref` of a document."""
    if isinstance(value, list):
        return [one for item in value for one in references(item)]
    if not isinstance(value, dict):
        return []
    inner = [one for item in value.values() for one in references(item)]
    return [*inner, value["$ref"]] if isinstance(value.get("$ref"), str) else inner


def test_the_types_compile_with_the_real_client() -> None:
    """Correct use compiles, wrong use does not."""
    tsc = ensure_modules() / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]
    options += ["--module", "nodenext", "--moduleResolution", "nodenext"]
    run = subprocess.run(
        [node(), str(tsc), *options, "types.ts"],
        cwd=ensure_modules(),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("event", "wrong"),
    [
        ({"type": "unread.changed", "data": {"unread": 1, "read_seq": 1, **TOTALS}}, []),
        ({"type": "unread.changed", "data": {"unread": 1, "read_seq": 1, "total": 1}}, ["rooms"]),
        ({"type": "sync.reset", "data": {"epoch": 1, "offset": 2, "more": 3}}, ["more"]),
        ({"type": "sync.reset", "data": AT, **AT}, ["offset"]),
        ({"type": "room.epoch", "data": {"prev": [1, 2]}}, ["offset"]),
        ({"type": "no.such", "data": {}}, ["type"]),
    ],
)  # fmt: skip
def test_errors_of_an_event_are_reported_by_field(event: dict[str, Any], wrong: list[str]) -> None:
    """Missing, unknown and misplaced fields are reported."""
    assert list(event_errors(event)) == wrong


def test_errors_of_an_answer_are_reported_by_field() -> None:
    """A refusal is validated as an error, data by the schema of the command."""
    assert answer_errors("unread.get", {"ok": True, "data": {"unread": TOTALS}}) == {}
    assert list(answer_errors("unread.get", {"ok": True, "data": {}})) == ["unread"]
    assert list(answer_errors("no.such", {"ok": True, "data": {}})) == ["no.such"]
    error = {"code": "not_found", "message": "", "retryable": False}
    assert answer_errors("no.such", {"ok": False, "error": error}) == {}
    assert list(answer_errors("x", {"ok": False, "error": {"code": "x"}})) == [
        "code",
        "message",
        "retryable",
    ]
