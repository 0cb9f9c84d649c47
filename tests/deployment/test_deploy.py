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

import pytest

from scripts.eb.bundle import ROOT
from scripts.eb.calls import Failed
from scripts.eb.deploy import Plan, name_of
from scripts.eb.drain import Fleet
from scripts.eb.environments import MOST_LOOKS, Unclear
from scripts.eb.smoke import smoke
from tests.deployment.stubbed_aws import APP, GREEN, OLD, PLAN, SWAP, VERSION, Aws, least
from tests.helpers import tls
from tests.helpers.raw import Raw
from tests.helpers.waiting import until
from tests.helpers.world import World, free_port, name

SMOKE = "import sys; from scripts.eb.smoke import smoke; smoke(*sys.argv[1:])"


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


def test_a_clone_has_as_many_instances_as_meet_the_clients_now(aws: Aws) -> None:
    """Eight, not the two that the configuration asks for at least; these again after the drain."""
    aws.until_cloned(published=True, running=8)
    aws.look(IDS, "Ready")
    aws.swaps(GREEN, OLD)
    aws.forgets()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    aws.expect("update_environment", EnvironmentId=GREEN, OptionSettings=least(2))
    assert aws.run() is None


def test_a_size_that_stays_is_told(aws: Aws) -> None:
    """The new version serves by then; more instances than needed cost, and it is said."""
    aws.until_cloned(published=True, running=3)
    aws.look(IDS, "Ready")
    aws.swaps(GREEN, OLD)
    aws.forgets()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    aws.refuse("update_environment")
    assert "at least 3 instances" in (aws.run() or "")


@pytest.mark.parametrize(
    ("status", "error"), [("FAILED", "could not process"), ("PROCESSING", "PROCESSING after")]
)
def test_a_version_that_is_not_processed_is_an_end(aws: Aws, status: str, error: str) -> None:
    """A version that failed is not deployed again, and one that hangs is waited for 10 minutes."""
    aws.look({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Ready")
    aws.counts(2)
    versions = {"ApplicationVersions": [{"VersionLabel": "0123abcd4567", "Status": status}]}
    for _ in range(1 if status == "FAILED" else MOST_LOOKS + 1):
        aws.expect("describe_application_versions", versions, **APP, **VERSION)
    with pytest.raises(Failed, match=error):
        aws.run()


def test_a_clone_that_is_busy_is_ended_when_it_is_ready(aws: Aws) -> None:
    """Elastic Beanstalk ends none that is not Ready: it is asked until it does."""
    aws.until_cloned(published=True)
    aws.look(IDS, "Launching", "Grey")
    for _ in range(2):
        aws.look(IDS, "Launching", "Grey")
    for _ in range(3):
        aws.refuse("terminate_environment", "InvalidParameterValue")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.forgets()
    with pytest.raises(Failed, match="Launching") as caught:
        aws.run()
    assert not isinstance(caught.value, Unclear)


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
    assert lines[:10] == [
        "describe_environments",
        "describe_environment_resources",
        "describe_configuration_settings",
        "describe_application_versions",
        "create_storage_location",
        "put_object",
        "create_application_version",
        "describe_application_versions",
        "create_configuration_template",
        "create_environment",
    ]
    clone = name_of("chat-live", sha256(b"zip").hexdigest())
    assert lines[10:] == [
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
