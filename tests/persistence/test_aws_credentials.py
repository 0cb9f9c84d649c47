"""Credentials for requests that are signed on the event loop."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from botocore.session import Session

from rts_server.persistence import aws_credentials
from rts_server.persistence.aws_credentials import AwsCredentials


async def test_credentials_are_looked_at_again_after_a_while_and_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In between the same ones are returned, without a thread."""
    session = Session()
    credentials = AwsCredentials(session)
    session.set_credentials("first", "secret")
    assert (await credentials.current()).access_key == "first"
    session.set_credentials("second", "secret")
    assert (await credentials.current()).access_key == "first"
    credentials.forget()
    assert (await credentials.current()).access_key == "second"
    monkeypatch.setattr(aws_credentials, "LOOK_SECONDS", 0.0)
    credentials.forget()
    await credentials.current()
    session.set_credentials("third", "secret", "token")
    assert (await credentials.current()).token == "token"


async def test_missing_credentials_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of boto3."""
    session: Any = Session()
    monkeypatch.setattr(session, "get_credentials", lambda: None)
    with pytest.raises(NoCredentialsError):
        await AwsCredentials(session).current()
