"""The list of settings that `rts-server config` prints."""

from __future__ import annotations

from collections.abc import Mapping

from rts_server.config import VARIABLES, Settings, given_variables

MASK = "********"


def describe(
    settings: Settings, environ: Mapping[str, str] | None = None
) -> list[tuple[str, str, str, str]]:
    """Return rows of (variable, value, source, description) for `rts-server config`.

    Secrets are masked. The source is `environment` or `default`.
    """
    given = given_variables(environ)
    rows = []
    for name, f in VARIABLES.items():
        value = getattr(settings, name)
        text = MASK if f.metadata.get("secret") and value not in ("", f.default) else str(value)
        variable = f.metadata["env"]
        source = "environment" if variable in given else "default"
        rows.append((variable, text, source, f.metadata["help"]))
    return rows
