"""Sessions with AWS. What botocore knows of its services is most of a new client: read once."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ProfileNotFound
from botocore.loaders import Loader, create_loader

from rts_server.config import Settings


def session(settings: Settings) -> boto3.session.Session:
    """With the credentials of the environment, in the region of the settings."""
    return boto3.session.Session(botocore_session=core(), region_name=settings.aws_region)


def core(variables: Any = None) -> botocore.session.Session:
    """What is below it; `variables` say where botocore finds its own settings."""
    made = botocore.session.Session(variables)
    made.register_component("data_loader", _descriptions())
    return made


@cache
def _descriptions() -> Loader:
    return create_loader()


def profile_role() -> str | None:
    """Return the role that the active profile of the AWS configuration assumes, if any.

    The profile is AWS_PROFILE's, in the file of AWS_CONFIG_FILE.
    """
    try:
        return core().get_scoped_config().get("role_arn")
    except ProfileNotFound:
        return None
