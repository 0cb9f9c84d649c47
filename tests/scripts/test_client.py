"""The packages for clients and the bundle that the page uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import client


def test_a_stale_bundle_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The committed one is that of today's sources; another, or none, is named."""
    monkeypatch.setattr(client, "_tool", lambda *_, **__: 0)
    assert client.main(["--check"]) == 0
    bundle = client.BUNDLE.read_bytes()
    monkeypatch.setattr(client, "ROOT", tmp_path)
    monkeypatch.setattr(client, "BUNDLE", tmp_path / "rts-chat.min.js")
    for content in (None, bundle + b"\n"):
        if content is not None:
            client.BUNDLE.write_bytes(content)
        assert client.main(["--check"]) == 1
        assert capsys.readouterr().err == "rts-chat.min.js is stale: run make client\n"
    client.BUNDLE.write_bytes(bundle)
    assert client.main(["--check"]) == 0
