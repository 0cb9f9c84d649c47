"""Settings in other forms: the list of `rts-server config`, and another process's environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING

from rts_server.config import Settings
from rts_server.config_loading import VARIABLES, given_variables

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


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables with which another process loads equal settings."""
    return {
        f.metadata["env"]: str(value)
        for name, f in VARIABLES.items()
        if (value := getattr(settings, name)) not in (None, "", MISSING)
    }
