"""scripts/deploy: every call it makes of AWS, roll-back included, and what it does beside AWS."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scripts.eb.bundle import ROOT
from scripts.eb.calls import Calls, Failed
from scripts.eb.deploy import Outside, Plan, deploy, name_of
from scripts.eb.drain import Fleet
from scripts.eb.environments import Environments, Unclear
from scripts.eb.smoke import smoke
from tests.helpers import tls
from tests.helpers.raw import Raw
from tests.helpers.waiting import until
from tests.helpers.world import World, free_port, name

APP = {"ApplicationName": "chat"}
PLAN = Plan("chat-live", "chat-0123abcd", "0123abcd4567", "https://chat.example.com", timeout=30)
VERSION = {"VersionLabels": ["0123abcd4567"]}
SWAP = "swap_environment_cnames"
GREEN, OLD = "e-green00000", "e-old0000000"
SMOKE = "import sys; from scripts.eb.smoke import smoke; smoke(*sys.argv[1:])"


class Aws:
    """Stubbed clients; calls must come in this order and no other."""

    def __init__(self) -> None:
        given = {"region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        names = ("elasticbeanstalk", "s3")
        self.clients: dict[str, Any] = {one: boto3.client(one, **given) for one in names}  # type: ignore[call-overload]
        self._stubs = {one: Stubber(client) for one, client in self.clients.items()}
        self.told: list[str] = []
        self.paused: list[float] = []
        for stub in self._stubs.values():
            stub.activate()

    def expect(self, operation: str, answer: Any = None, /, **asked: Any) -> None:
        """The next call, with exactly these parameters."""
        service = "s3" if operation == "put_object" else "elasticbeanstalk"
        self._stubs[service].add_response(operation, answer or {}, asked)

    def refuse(self, operation: str) -> None:
        """The next call is answered by an error."""
        self._stubs["elasticbeanstalk"].add_client_error(operation, "InvalidParameterValue", "no")

    def look(self, which: dict[str, Any], status: str, health: str = "Green") -> None:
        """A look at an environment."""
        one = which.get("EnvironmentIds", [OLD])[0]
        found = {"EnvironmentId": one, "CNAME": f"{one}.test", "Status": status, "Health": health}
        self.expect("describe_environments", {"Environments": [found]}, **APP, **which)

    def until_cloned(self, *, published: bool = False, refused: bool = False) -> None:
        """All that comes before the clone is looked at; `refused`: it cannot be made."""
        self.look({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Ready")
        versions = [{"VersionLabel": "0123abcd4567", "Status": "PROCESSED"}]
        known = {"ApplicationVersions": versions}
        self.expect("describe_application_versions", known if published else {}, **APP, **VERSION)
        if not published:
            place = {"S3Bucket": "eb-bucket", "S3Key": "chat/0123abcd4567.zip"}
            self.expect("create_storage_location", {"S3Bucket": "eb-bucket"})
            self.expect("put_object", Bucket="eb-bucket", Key=place["S3Key"], Body=b"zip")
            self.expect(
                "create_application_version",
                **APP,
                VersionLabel="0123abcd4567",
                SourceBundle=place,
                Process=True,
            )
            self.expect("describe_application_versions", known, **APP, **VERSION)
        self.expect(
            "create_configuration_template", **APP, TemplateName=PLAN.new, EnvironmentId=OLD
        )
        if refused:
            self.refuse("create_environment")
            return
        self.expect(
            "create_environment",
            {"EnvironmentId": GREEN},
            **APP,
            EnvironmentName=PLAN.new,
            TemplateName=PLAN.new,
            VersionLabel="0123abcd4567",
        )

    def forgets(self) -> None:
        """The saved configuration goes."""
        self.expect("delete_configuration_template", **APP, TemplateName=PLAN.new)

    def swaps(self, one: str, other: str) -> None:
        """The CNAMEs are exchanged; both environments are waited for."""
        self.expect(SWAP, SourceEnvironmentId=one, DestinationEnvironmentId=other)
        self.look({"EnvironmentIds": [one]}, "Ready", "Yellow")
        self.look({"EnvironmentIds": [other]}, "Ready", "Yellow")

    def run(self, plan: Plan = PLAN, broken: str | None = "nothing", **more: Any) -> str | None:
        """The deployment; the test of the address `broken` (None: the live one) fails."""

        def test(cname: str | None) -> None:
            self.told.append(f"test {cname}")
            if cname == broken:
                raise Failed("broken.")

        def drain(old: list[str]) -> None:
            self.told.append(f"drain {old}")

        given = {"test": test, "instances": lambda: ["i-old"], "drain": drain} | more
        outside = Outside(**given, pause=self.paused.append)
        calls = Calls(self.clients, lambda line: self.told.append(line.split()[0]))
        return deploy(plan, b"zip", Environments(calls, "chat", self.paused.append), outside)

    def done(self) -> None:
        """Every call that was expected was made."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Nothing expected yet; nothing left at the end."""
    stubbed = Aws()
    yield stubbed
    stubbed.done()


IDS = {"EnvironmentIds": [GREEN]}


def test_a_deployment_from_clone_to_end(aws: Aws) -> None:
    """Tested before the swap and after it; drained before the old environment ends."""
    aws.until_cloned()
    aws.look(IDS, "Launching", "Grey")
    aws.look(IDS, "Ready", "Green")
    aws.swaps(GREEN, OLD)
    aws.forgets()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    assert aws.run() is None
    order = [line for line in aws.told if line.startswith(("test", "drain")) or SWAP in line]
    swapped = f"elasticbeanstalk.{SWAP}"
    assert order == [f"test {GREEN}.test", swapped, "test None", "drain ['i-old']"]
    assert aws.told[-1] == "elasticbeanstalk.terminate_environment"
    assert aws.paused == [15.0, 60.0]


def test_a_version_is_uploaded_once_and_the_old_one_may_stay(aws: Aws) -> None:
    """A bundle that is a version is none again; --keep-old ends nothing."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.swaps(GREEN, OLD)
    aws.forgets()
    plan = Plan(PLAN.live, PLAN.new, PLAN.label, PLAN.url, keep_old=True)
    assert aws.run(plan) is None


def test_what_never_becomes_healthy_is_ended(aws: Aws) -> None:
    """The live environment is not touched."""
    aws.until_cloned(published=True)
    for _ in range(3):
        aws.look(IDS, "Ready", "Red")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.forgets()
    with pytest.raises(Failed, match="Red after 30 s"):
        aws.run()


def test_a_failed_smoke_test_swaps_nothing(aws: Aws) -> None:
    """The clone is ended, clients never met it."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.forgets()
    with pytest.raises(Failed, match="broken"):
        aws.run(broken=f"{GREEN}.test")
    assert not any("drain" in line for line in aws.told)


def test_a_swap_that_does_not_serve_is_taken_back(aws: Aws) -> None:
    """Swapped back, waited until everybody knows, and only then the clone is ended."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.swaps(GREEN, OLD)
    aws.swaps(OLD, GREEN)
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.forgets()
    with pytest.raises(Failed, match="broken"):
        aws.run(broken=None)
    assert aws.paused == [60.0, 60.0]


def test_an_unclear_swap_is_left_to_the_operator(aws: Aws) -> None:
    """Nobody knows whose the address is: neither environment is ended."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.refuse(SWAP)
    aws.forgets()
    with pytest.raises(Unclear, match="both run"):
        aws.run()


def test_a_clone_that_cannot_be_made_leaves_nothing_behind(aws: Aws) -> None:
    """The configuration that was saved for it goes, or the next deployment would meet it."""
    aws.until_cloned(published=True, refused=True)
    aws.forgets()
    with pytest.raises(Failed, match="create_environment"):
        aws.run()


def test_a_clone_that_cannot_be_ended_is_told(aws: Aws) -> None:
    """Why it had to end, and that it runs; nobody says that everything is as before."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.refuse("terminate_environment")
    aws.forgets()
    with pytest.raises(Unclear, match=f"broken.*terminate.*{GREEN} still runs"):
        aws.run(broken=f"{GREEN}.test")


def test_a_configuration_that_is_left_holds_nothing_up(aws: Aws) -> None:
    """The new version serves by then: the old environment ends all the same, and it is said."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.swaps(GREEN, OLD)
    aws.refuse("delete_configuration_template")
    aws.expect("terminate_environment", EnvironmentId=OLD)
    assert aws.run() is None
    assert "Configuration" in aws.told


def test_a_configuration_that_is_left_hides_no_failure(aws: Aws) -> None:
    """What is raised is why the deployment failed."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.refuse("delete_configuration_template")
    with pytest.raises(Failed, match="broken"):
        aws.run(broken=f"{GREEN}.test")


def test_who_interrupts_leaves_nothing_behind(aws: Aws) -> None:
    """Ctrl-C while the clone is tested ends the clone."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.forgets()

    def interrupted(_: str | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aws.run(test=interrupted)


def test_a_drain_that_fails_holds_nothing_up(aws: Aws) -> None:
    """The new version serves by then; ended instances drain by themselves. It is said."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Ready")
    aws.swaps(GREEN, OLD)
    aws.forgets()
    aws.expect("terminate_environment", EnvironmentId=OLD)

    def drain(_: list[str]) -> None:
        raise Failed("404")

    assert "404" in (aws.run(drain=drain) or "")


def test_an_environment_that_is_busy_is_left_alone(aws: Aws) -> None:
    """Two deployments at a time would bounce clients between instances that go."""
    aws.look({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Updating")
    with pytest.raises(Failed, match="Updating"):
        aws.run()


@pytest.mark.parametrize(
    ("live", "new"),
    [
        ("chat-live", "chat-live-0123abcd"),
        ("chat-live-89abcdef", "chat-live-0123abcd"),
        ("c" * 40, "c" * 31 + "-0123abcd"),
    ],
)
def test_names_do_not_grow(live: str, new: str) -> None:
    """The version of the last deployment gives way to this one's."""
    assert name_of(live, PLAN.label) == new


def test_a_dry_run_prints_each_call(tmp_path: Path) -> None:
    """No credentials, no tokens, no call: the whole plan on standard output."""
    (tmp_path / "b.zip").write_bytes(b"zip")
    program, bundle = str(ROOT / "scripts" / "deploy"), str(tmp_path / "b.zip")
    command = [program, "chat", "chat-live", bundle, "--dry-run"]
    done = subprocess.run(
        [*command, "--url", "https://chat.example.com"], capture_output=True, text=True, check=True
    )
    lines = [line.split()[0].partition(".")[2] or line for line in done.stdout.splitlines()]
    assert lines[:8] == [
        "describe_environments",
        "describe_application_versions",
        "create_storage_location",
        "put_object",
        "create_application_version",
        "describe_application_versions",
        "create_configuration_template",
        "create_environment",
    ]
    clone = name_of("chat-live", sha256(b"zip").hexdigest())
    assert lines[8:] == [
        "describe_environments",
        f"smoke test of <CNAME of <id of {clone}>>",
        SWAP,
        "describe_environments",
        "describe_environments",
        "pause of 60 s",
        "smoke test of https://chat.example.com",
        "delete_configuration_template",
        "drain of <instances of chat-live>",
        "terminate_environment",
    ]


def test_who_names_no_region_is_told(tmp_path: Path) -> None:
    """Exit code 2 and a sentence, as for any other mistake in the call."""
    (tmp_path / "b.zip").write_bytes(b"zip")
    nowhere = {"PATH": os.environ["PATH"], "AWS_CONFIG_FILE": str(tmp_path / "none")}
    command = [str(ROOT / "scripts" / "deploy"), "chat", "chat-live", str(tmp_path / "b.zip")]
    done = subprocess.run(
        [*command, "--url", "https://chat.example.com"],
        env=nowhere | {"RTS_SMOKE_TOKEN": "x", "RTS_OPERATOR_TOKEN": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "region" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_the_smoke_test_is_a_user_and_says_what_failed(world: World) -> None:
    """Connect, room, message, event against a real instance; a wrong token is named."""
    smoke(world.urls[0], world.token(name("smoke")))
    with pytest.raises(Failed, match="does not serve"):
        smoke(world.urls[0], "nonsense")
    with pytest.raises(Failed, match="does not serve"):
        smoke(f"http://127.0.0.1:{free_port()}", "any")


@pytest.mark.parametrize(("host", "served"), [("127.0.0.1", True), ("chat.example.com", False)])
def test_the_clone_has_the_certificate_of_the_live_address(
    world: World, tmp_path: Path, host: str, served: bool
) -> None:
    """Reached by its own CNAME: what counts is the name in the certificate."""
    with tls.running_before(tmp_path, int(world.urls[0].rpartition(":")[2])) as port:
        url = f"https://localhost:{port}"
        words = [sys.executable, "-c", SMOKE, url, world.token(name("smoke")), host]
        # aiohttp reads the authorities when it is loaded.
        trusting = os.environ | {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}
        done = subprocess.run(words, cwd=ROOT, env=trusting, capture_output=True, check=False)
    assert (done.returncode == 0) is served, done.stderr


async def test_the_drain_asks_the_old_ones_and_waits(world: World, tmp_path: Path) -> None:
    """Over REST: the old one's clients are sent away and waited for, the others stay."""
    operator = world.token("ops", scope="operator")
    fleet = Fleet(world.urls[0], operator, time.sleep)
    before = await asyncio.to_thread(fleet.connections)
    more = {"RTS_DRAIN_SPREAD": "0", "RTS_PRESENCE_LEASE": "1"}
    async with (
        world.instance(tmp_path, **more) as (_, url),
        Raw(url) as leaving,
        world.raw(name("bob")) as staying,
    ):
        await leaving.connect(world.token(name("alice")))
        (old,) = (await asyncio.to_thread(fleet.connections)).keys() - before.keys()
        await asyncio.to_thread(until, lambda: fleet.connections()[old])
        await asyncio.to_thread(fleet.drain, [old, "gone"])
        assert leaving.closed
        assert [e["data"]["code"] for e in leaving.events if e["type"] == "session.closing"] == [
            "draining"
        ]
        assert not staying.closed
    with pytest.raises(Failed, match="401"):
        await asyncio.to_thread(Fleet(world.urls[0], "nonsense", time.sleep).connections)
