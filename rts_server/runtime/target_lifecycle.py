"""The state that Auto Scaling intends for this EC2 instance, from the instance metadata.

Source: Amazon EC2 Auto Scaling user guide, retrieving-target-lifecycle-state-through-imds. When an
instance is scaled in or replaced, the balancer deregisters it first and cuts its sockets when the
deregistration delay ends; only then does the operating system send SIGTERM. The state is
`Terminated` from the beginning of that.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from rts_server import metrics
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

CHECK_EVERY_SECONDS = 5.0
TIMEOUT_SECONDS = 2.0
TOKEN_SECONDS = 21_600
"""The longest life of a token of IMDSv2."""
TOKEN_PATH = "/latest/api/token"
STATE_PATH = "/latest/meta-data/autoscaling/target-lifecycle-state"


async def wait_for_termination(url: str) -> None:
    """Return when Auto Scaling is about to terminate this instance.

    `url` is that of the metadata service. An instance outside of Auto Scaling waits for ever; a
    service that does not answer is asked again.
    """
    throttled_log = ThrottledLog(log)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(url, timeout=timeout) as http:
        token = ""
        while True:
            try:
                token = token or await _new_token(http)
                status, state = await _state(http, token)
            except Exception as error:  # of any kind: without it the sockets are cut, not drained
                metrics.LOOP_FAILURES.labels("instance metadata").inc()
                throttled_log.warning("instance metadata do not answer", error)
            else:
                if state == "Terminated":
                    return
                if status == 401:  # the token has expired
                    token = ""
            await asyncio.sleep(CHECK_EVERY_SECONDS)


async def _new_token(http: aiohttp.ClientSession) -> str:
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
    async with http.put(TOKEN_PATH, headers=headers, raise_for_status=True) as answer:
        return await answer.text()


async def _state(http: aiohttp.ClientSession, token: str) -> tuple[int, str]:
    """Return status and body; 404 means that the instance belongs to no Auto Scaling group."""
    headers = {"X-aws-ec2-metadata-token": token}
    async with http.get(STATE_PATH, headers=headers) as answer:
        return answer.status, (await answer.text()).strip()
