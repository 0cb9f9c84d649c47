"""Calls of SQS on the event loop (its JSON protocol)."""

from __future__ import annotations

import ssl
from io import BytesIO
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from botocore.session import Session

from rts_server.config import Settings
from rts_server.persistence import aws
from rts_server.persistence.aws_credentials import AwsCredentials

_SERVICE = "sqs"
SQS_CONNECT_SECONDS = 0.5
"""How long opening a connection may take."""


class CallRefused(Exception):
    """SQS answered with an error. `code`: its name, or the HTTP status."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SqsEndpoint:
    """Calls SQS without boto3, whose call takes a thread and more CPU than all else the relay does.

    Address, region, credentials, certificates and proxy are those that boto3 would use. Each call
    is tried once: retries are up to the caller, who keeps the order.
    """

    def __init__(self, settings: Settings, timeout: float, connections: int) -> None:
        """`timeout`: seconds that one call may take. Needs a running event loop."""
        session = aws.botocore_session()
        self._region = settings.aws_region
        client = session.create_client(
            _SERVICE, self._region, endpoint_url=settings.aws_endpoint_url
        )
        self._url = client.meta.endpoint_url
        client.close()
        self._credentials = AwsCredentials(session)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=_trust(session)),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=SQS_CONNECT_SECONDS),
            proxy=_proxy(urlsplit(self._url)),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )

    async def close(self) -> None:
        """Close the connections; calls in progress fail."""
        await self._http.close()

    async def get_queue_url(self, name: str) -> str:
        """Return the URL of a queue. Raises as `send_message_batch` does."""
        return str((await self._answer("GetQueueUrl", {"QueueName": name}))["QueueUrl"])

    async def send_message_batch(self, url: str, entries: list[dict[str, str]]) -> list[str]:
        """Send a batch; return the ids of the entries that SQS accepted.

        Raises CallRefused, ClientError of aiohttp, BotoCoreError or TimeoutError; but for the
        first, it is unknown which were accepted.
        """
        answer = await self._answer("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
        return [one["Id"] for one in answer.get("Successful", ())]

    async def _answer(self, action: str, call: object) -> Any:
        body = orjson.dumps(call)
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{action}",
        }
        request = AWSRequest("POST", self._url, headers, body)
        credentials = await self._credentials.current()
        SigV4Auth(credentials, _SERVICE, self._region).add_auth(request)
        # A file object: aiohttp warns of bytes above a mebibyte, which a batch may have in JSON.
        async with self._http.post(
            self._url, data=BytesIO(body), headers=dict(request.headers), allow_redirects=False
        ) as answer:
            text = await answer.read()
        if answer.status == 403:
            self._credentials.forget()
        if answer.status != 200:
            raise CallRefused(_code(text) or str(answer.status))
        return orjson.loads(text)


def _code(text: bytes) -> str:
    """Return the name of an error: `QueueDoesNotExist` of `com.amazonaws.sqs#QueueDoesNotExist`."""
    try:
        return str(orjson.loads(text)["__type"]).rpartition("#")[2]
    except (ValueError, KeyError, TypeError):
        return ""


def _trust(session: Session) -> ssl.SSLContext:
    """Return the certificate authorities of boto3, or those that AWS_CA_BUNDLE names."""
    bundle = session.get_config_variable("ca_bundle")
    return ssl.create_default_context(cafile=get_cert_path(bundle or True))


def _proxy(url: SplitResult) -> str | None:
    """Return the proxy that the environment names for a URL, if any."""
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)
