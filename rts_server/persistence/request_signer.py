"""Signs requests to AWS (IAM User Guide, "Create a signed AWS API request", Signature Version 4).

botocore signs too, but derives the key anew for each request; a test compares the signatures.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from botocore.credentials import ReadOnlyCredentials

_ALGORITHM = "AWS4-HMAC-SHA256"
_SCOPE_END = "aws4_request"


class RequestSigner:
    """Signs POST requests to one URL of a service."""

    def __init__(self, service: str, region: str, host: str, path: str) -> None:
        self._service, self._region = service, region
        self._host, self._path = host, path

    def signed_headers(
        self,
        headers: dict[str, str],
        body: bytes,
        credentials: ReadOnlyCredentials,
        at: datetime,
    ) -> dict[str, str]:
        """Return the headers, in lower case, with host, date and signature. `at` is UTC."""
        time = at.strftime("%Y%m%dT%H%M%SZ")
        signed = {**headers, "host": self._host, "x-amz-date": time}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        lines = "".join(f"{name}:{value}\n" for name, value in sorted(signed.items()))
        names = ";".join(sorted(signed))
        request = f"POST\n{self._path}\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        scope = f"{time[:8]}/{self._region}/{self._service}/{_SCOPE_END}"
        text = f"{_ALGORITHM}\n{time}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        key = _key(credentials.secret_key, time[:8], self._region, self._service)
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, "
            f"Signature={_hash(key, text).hex()}"
        )
        return signed


@lru_cache(maxsize=2)
def _key(secret: str, date: str, region: str, service: str) -> bytes:
    """Return the key of a day, which is the same for all requests of the day."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, _SCOPE_END):
        key = _hash(key, part)
    return key


def _hash(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
