"""The stack that runs on a data directory, for commands that are to speak to it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from rts_server.config import Settings
from rts_server.tools.dev.aws import CREDENTIALS
from rts_server.tools.dev.stack import GIVEN, NOTE


def reached(settings: Settings, data: Path) -> Settings:
    """The settings with the addresses of a running stack, where none are given."""
    try:
        note = json.loads((data / NOTE).read_text())
    except (OSError, ValueError):
        return settings
    if not os.environ.get(GIVEN["Valkey"]) and "valkey" in note:
        settings = replace(settings, redis_url=note["valkey"]["url"])
    if not os.environ.get(GIVEN["local AWS"]) and "aws" in note:
        os.environ.update(CREDENTIALS)
        settings = replace(settings, aws_endpoint_url=note["aws"]["url"])
    return settings
