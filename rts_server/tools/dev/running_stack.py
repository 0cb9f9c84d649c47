"""Settings of the stack that runs on a data directory, for commands that connect to it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from rts_server.config import Settings
from rts_server.tools.dev.aws import CREDENTIALS
from rts_server.tools.dev.stack import STATE_FILE, VARIABLES_OF_PARTS


def with_running_stack(settings: Settings, data: Path) -> Settings:
    """Return the settings with the addresses of a running stack.

    Addresses that the environment gives are kept. For a local AWS, its credentials are put into
    the environment of this process.
    """
    try:
        state = json.loads((data / STATE_FILE).read_text())
    except (OSError, ValueError):
        return settings
    if not os.environ.get(VARIABLES_OF_PARTS["Valkey"]) and "valkey" in state:
        settings = replace(settings, redis_url=state["valkey"]["url"])
    if not os.environ.get(VARIABLES_OF_PARTS["local AWS"]) and "aws" in state:
        os.environ.update(CREDENTIALS)
        settings = replace(settings, aws_endpoint_url=state["aws"]["url"])
    return settings
