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
    redis = state.get("valkey") or state.get("cluster")
    if not os.environ.get(VARIABLES_OF_PARTS["Valkey"]) and redis:
        is_cluster = int("cluster" in state)
        settings = replace(settings, redis_url=redis["url"], redis_cluster=is_cluster)
    if not os.environ.get(VARIABLES_OF_PARTS["local AWS"]) and "aws" in state:
        os.environ.update(CREDENTIALS)
        settings = replace(settings, aws_endpoint_url=state["aws"]["url"])
    return settings
