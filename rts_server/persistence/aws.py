"""AWS sessions. They share the service descriptions of botocore, which cost most of a client."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ProfileNotFound
from botocore.loaders import Loader, create_loader

from rts_server.config import Settings


def session(
    settings: Settings, core: botocore.session.Session | None = None
) -> boto3.session.Session:
    """Return a session with the credentials of the environment and the region of the settings.

    `core`: what it is built on, by default a new `botocore_session`.
    """
    return boto3.session.Session(
        botocore_session=core or botocore_session(), region_name=settings.aws_region
    )


def botocore_session(variables: Any = None) -> botocore.session.Session:
    """Return a botocore session. `variables` maps its settings to their sources."""
    new = botocore.session.Session(variables)
    new.register_component("data_loader", _service_descriptions())
    return new


@cache
def _service_descriptions() -> Loader:
    return create_loader()


def profile_role() -> str | None:
    """Return the role that the active profile of the AWS configuration assumes, if any.

    The profile is AWS_PROFILE's, in the file of AWS_CONFIG_FILE.
    """
    try:
        return botocore_session().get_scoped_config().get("role_arn")
    except ProfileNotFound:
        return None
