"""The credentials with which requests are signed on the event loop."""

from __future__ import annotations

import asyncio
import time

from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from botocore.session import Session

LOOK_SECONDS = 60.0
"""Time between two looks. botocore replaces credentials from 15 minutes before they expire on."""


class AwsCredentials:
    """The credentials of a session.

    botocore replaces those that expire soon when they are looked at, and blocks meanwhile; so they
    are looked at in a thread, once a minute.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._current: ReadOnlyCredentials | None = None
        self._look_at = 0.0

    async def current(self) -> ReadOnlyCredentials:
        """Return valid credentials. Raises BotoCoreError."""
        if self._current is None or time.monotonic() >= self._look_at:
            self._current = await asyncio.to_thread(self._look)
            self._look_at = time.monotonic() + LOOK_SECONDS
        return self._current

    def forget(self) -> None:
        """Look again before the next request: AWS refused these."""
        self._current = None

    def _look(self) -> ReadOnlyCredentials:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return credentials.get_frozen_credentials()
