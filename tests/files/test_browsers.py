"""The bucket as browsers use it, on a local AWS that checks signatures and origins."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import ClientSession
from cfnlint.decode import cfn_yaml
from yarl import URL

from rts_server.config import Settings
from rts_server.files.store import ObjectStore
from rts_server.files.upload import Upload
from rts_server.tools.dev import aws
from rts_server.tools.dev.aws import CREDENTIALS, LocalAws
from rts_server.tools.dev.deploy import TEMPLATE
from tests.helpers.upload_form import post
from tests.helpers.world import free_port

PAGE = "https://chat.example.com"


class StrictAws(LocalAws):
    """Believes nobody: signatures are checked, and a bucket's own rules answer a browser."""

    def _environment(self, region: str) -> dict[str, str]:
        return super()._environment(region) | {"AUTH": "true"}


def bucket_alone() -> str:
    """Return the template with nothing but the bucket and its CORS rules."""
    whole: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))
    properties = whole["Resources"]["Files"]["Properties"]
    kept = {name: properties[name] for name in ("BucketName", "CorsConfiguration")}
    parameters = {name: whole["Parameters"][name] for name in ("BucketName", "CorsOrigins")}
    return json.dumps(
        {
            "Parameters": parameters,
            "Conditions": {n: whole["Conditions"][n] for n in ("WithCors", "WithBucketName")},
            "Resources": {"Files": {"Type": "AWS::S3::Bucket", "Properties": kept}},
        }
    )


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings for a strict S3 emulator that holds the bucket."""
    folder = tmp_path_factory.mktemp("strict")
    running = StrictAws(folder, free_port(), "us-east-1", log=folder / "log")
    running.start_and_wait()
    settings = Settings(aws_endpoint_url=running.url, cors_origins=PAGE)
    try:
        formation = aws.client(settings, "cloudformation")
        formation.create_stack(
            StackName="bucket",
            TemplateBody=bucket_alone(),
            Parameters=[
                {"ParameterKey": "CorsOrigins", "ParameterValue": PAGE},
                {"ParameterKey": "BucketName", "ParameterValue": settings.bucket},
            ],
        )
        formation.get_waiter("stack_create_complete").wait(
            StackName="bucket", WaiterConfig={"Delay": 1}
        )
        yield settings
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("origin", "method", "status"),
    [
        (PAGE, "POST", 200),
        (PAGE, "GET", 200),
        (PAGE, "DELETE", 403),
        ("https://elsewhere.example.com", "POST", 403),
    ],
)
async def test_only_configured_origins_pass_the_preflight(
    strict: Settings, origin: str, method: str, status: int
) -> None:
    """A browser's preflight request succeeds for our own origins and methods only."""
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    url = f"{strict.aws_endpoint_url}/{strict.bucket}"
    async with ClientSession() as http, http.options(url, headers=asked) as answer:
        assert answer.status == status
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        assert allowed == (PAGE if status == 200 else None)


async def test_a_download_url_is_for_one_file_only(
    strict: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another disposition, type, lifetime, key, method or no signature is refused."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    s3, store = aws.client(strict, "s3"), ObjectStore(strict)
    for key in ("files/room/a", "files/room/b"):
        s3.put_object(Bucket=strict.bucket, Key=key, Body=b"<html>")
    link = await store.presign_get("files/room/a", "text/html", 'attachment; filename="a"', 300)

    async def status(url: str, method: str = "GET") -> int:
        async with ClientSession() as http, http.request(method, URL(url, encoded=True)) as answer:
            return answer.status

    assert await status(link) == 200
    for part, other in (
        ("=attachment", "=inline"),
        ("=text%2Fhtml", "=image%2Fpng"),
        ("Expires=300", "Expires=3000"),
        ("room/a?", "room/b?"),
    ):
        assert part in link
        assert await status(link.replace(part, other)) == 403
    for verb in ("PUT", "POST", "DELETE"):
        assert await status(link, verb) == 403
    assert await status(link.partition("?")[0]) == 403
    await store.close()


async def test_a_forged_form_is_refused(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form with our signature is accepted; another signature or policy is refused."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    store, content = ObjectStore(strict), b"content"
    checksum = b64encode(sha256(content).digest()).decode()
    upload = Upload("room", "a1", "alice", "x.txt", len(content), "text/plain", checksum)
    url, fields = await store.presign_post(upload, 300)
    _, wider = await store.presign_post(replace(upload, user_id="eve", size=9), 300)
    grant = {"url": url, "fields": fields}
    forged = fields["x-amz-signature"].translate(str.maketrans("0123456789", "1234567890"))
    assert await post(grant, content, **{"x-amz-signature": forged}) == 403
    assert await post(grant, content, policy=wider["policy"]) == 403
    assert await post(grant, content) == 204
    found = await store.head(upload.pending_key)
    assert found is not None
    assert found.upload == upload
    await store.close()
