"""Blue/green deployment: a clone with the new version takes over the address once it serves."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import click

from scripts.eb.calls import AwsCalls, DeploymentFailed, aws_clients
from scripts.eb.drain import InstanceDrainer
from scripts.eb.environments import Environment, Environments, UnclearState
from scripts.eb.options import (
    PROPERTIES,
    SECRETS,
    check_properties,
    parse_properties,
    properties_of,
    settings_of,
)
from scripts.eb.smoke import run_smoke_test

SERVICES = ("elasticbeanstalk", "s3")
MAX_NAME_LENGTH = 40
"""EnvironmentName of CreateEnvironment in the API reference of Elastic Beanstalk."""


@dataclass(frozen=True)
class DeploymentPlan:
    """Names and times of a deployment; times in seconds."""

    live: str
    new: str
    label: str
    url: str
    timeout: float = 1800.0
    dns_ttl: float = 60.0
    keep_old: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeploymentActions:
    """The actions of a deployment that are no calls to AWS.

    `smoke_test` and `drain` raise DeploymentFailed.
    """

    smoke_test: Callable[[str | None], None]
    """Tests a CNAME before it is the live one; None: the live address."""
    list_instances: Callable[[], list[str]]
    drain: Callable[[list[str]], None]
    sleep: Callable[[float], None]


def deploy(
    plan: DeploymentPlan, bundle: bytes, environments: Environments, actions: DeploymentActions
) -> str | None:
    """Clone, deploy, wait, test, swap, test, drain, terminate the old environment.

    Returns a note on steps that failed without harm after the swap, or None. Raises
    DeploymentFailed if everything was undone, UnclearState if it was not or that is unknown.
    """
    live = environments.find(plan.live)
    if live.status != "Ready":
        raise DeploymentFailed(f"{plan.live} is {live.status}, not Ready.")
    old_instances = actions.list_instances()
    options = environments.options(plan.live)
    _check_changes(plan.properties, options)
    capacity = environments.capacity(live.id, options)
    environments.publish(plan.label, bundle)
    changes = settings_of(properties_of(plan.properties))
    clone_id = environments.clone(live, plan.new, plan.label, capacity, changes)
    try:
        _test_clone(plan, environments, actions, clone_id)
        _swap_and_test(plan, environments, actions, live, clone_id)
    finally:
        environments.delete_saved_configuration(plan.new)
    notes = [_retire_old(plan, environments, actions, live, old_instances)]
    try:
        # After the drain: until then all clients may come at once.
        environments.restore_min_size(clone_id, capacity)
    except DeploymentFailed as failed:
        notes.append(f"{plan.new} keeps at least {capacity.running} instances ({failed}).")
    return " ".join(filter(None, notes)) or None


def _check_changes(changes: Mapping[str, str], live: Sequence[Mapping[str, str]]) -> None:
    """Raise DeploymentFailed if nothing could start with the live properties and these changes."""
    found = {
        one["OptionName"]: one.get("Value", "") for one in live if one["Namespace"] == PROPERTIES
    }
    changed = properties_of(changes)
    merged = {n: v for n, v in (found | changed[PROPERTIES]).items() if n not in changed[SECRETS]}
    try:
        if changes:
            check_properties(merged)
    except click.UsageError as wrong:
        raise DeploymentFailed(wrong.message) from None


def _test_clone(
    plan: DeploymentPlan, environments: Environments, actions: DeploymentActions, clone_id: str
) -> None:
    """Test the clone by its own address, which no client knows; terminate it if it fails."""
    try:
        green = environments.wait_healthy(clone_id, plan.timeout)
        actions.smoke_test(green.cname)
    except BaseException as why:
        environments.abandon_clone(clone_id, why)
        raise


def _swap_and_test(
    plan: DeploymentPlan,
    environments: Environments,
    actions: DeploymentActions,
    live: Environment,
    clone_id: str,
) -> None:
    """Swap the addresses and test the live one. After a failure swap back and end the clone."""
    environments.swap(clone_id, live.id, plan.timeout)
    try:
        actions.sleep(plan.dns_ttl)
        actions.smoke_test(None)
    except BaseException as why:
        environments.swap(live.id, clone_id, plan.timeout)
        # Clients with a cached address still reach the clone: it ends after the TTL.
        actions.sleep(plan.dns_ttl)
        environments.abandon_clone(clone_id, why)
        raise


def _retire_old(
    plan: DeploymentPlan,
    environments: Environments,
    actions: DeploymentActions,
    live: Environment,
    old_instances: list[str],
) -> str | None:
    """Drain the old instances before their environment is terminated."""
    notes = []
    try:
        actions.drain(old_instances)
    except DeploymentFailed as failed:
        notes.append(f"Not drained ({failed}); instances drain when they are terminated.")
    try:
        if not plan.keep_old:
            environments.terminate(live.id)
    except DeploymentFailed as failed:
        notes.append(f"{plan.live} still runs ({failed}).")
    return " ".join(notes) or None


def new_environment_name(live: str, label: str) -> str:
    """Return the live environment's name with the version at its end replaced by `label`'s."""
    base = re.sub(r"-[0-9a-f]{8}$", "", live)
    return f"{base[: MAX_NAME_LENGTH - 9]}-{label[:8]}"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("application")
@click.argument("environment")
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", required=True, help="Address of clients: https://chat.example.com")
@click.option("--region", help="AWS region. [AWS_REGION]")
@click.option(
    "--timeout", default=1800.0, show_default=True, help="Seconds for the clone to become healthy."
)
@click.option("--dns-ttl", default=60.0, show_default=True, help="Seconds that DNS is cached.")
@click.option(
    "--set", "properties", multiple=True, help="Change a property: NAME=VALUE; may be repeated."
)
@click.option("--keep-old", is_flag=True, help="Drain the old environment, but keep it.")
@click.option("--dry-run", is_flag=True, help="Print each call without making it.")
def main(
    application: str, environment: str, bundle: Path, url: str, region: str | None, **more: object
) -> None:
    """Replace the version that ENVIRONMENT of APPLICATION runs by BUNDLE, without losing a message.

    `scripts/deploy create` makes the first environment, `scripts/deploy destroy` takes all away.

    With --set the bundle may be the same: a property that is changed on the environment itself
    restarts its processes at once, and all clients with them.

    RTS_SMOKE_TOKEN is a user's token for the smoke tests, RTS_OPERATOR_TOKEN one with scope
    operator for the drain. AWS credentials are found as by every AWS program. Exit code 0; 1 if
    the deployment failed, with the resulting state; 2 for wrong usage.

    Example: scripts/deploy chat chat-live build/rts-server.zip --url https://chat.example.com
    """
    data = bundle.read_bytes()
    label = sha256(data).hexdigest()[:12]
    dry = bool(more.pop("dry_run"))
    properties = parse_properties(more.pop("properties"))  # type: ignore[arg-type]
    state = label + json.dumps(properties, sort_keys=True) if properties else ""
    new = new_environment_name(environment, sha256(state.encode()).hexdigest() if state else label)
    plan = DeploymentPlan(environment, new, label, url, properties=properties, **more)  # type: ignore[arg-type]
    if plan.new == plan.live:
        raise click.UsageError(f"{plan.live} runs this bundle already.")
    calls = AwsCalls({} if dry else aws_clients(SERVICES, region), click.echo, dry=dry)
    actions = _dry_run_actions(plan) if dry else _real_actions(plan)
    environments = Environments(calls, application, actions.sleep)
    try:
        note = deploy(plan, data, environments, actions)
    except UnclearState as unclear:
        raise click.ClickException(str(unclear)) from None
    except DeploymentFailed as failed:
        raise click.ClickException(f"{failed} Everything is as before.") from None
    if dry:
        return
    click.echo(note or "The old instances are drained.")
    click.echo(f"{plan.new} serves {url}; it is the ENVIRONMENT of the next deployment.")


def _real_actions(plan: DeploymentPlan) -> DeploymentActions:
    user_token, operator_token = map(_required_variable, ("RTS_SMOKE_TOKEN", "RTS_OPERATOR_TOKEN"))
    drainer = InstanceDrainer(plan.url, operator_token, time.sleep)
    live = urlsplit(plan.url)

    def smoke_test(cname: str | None) -> None:
        click.echo(f"smoke test of {cname or plan.url}")
        if cname is None:
            run_smoke_test(plan.url, user_token)
        else:
            # The clone has the certificate of the live address.
            host = live.hostname if live.scheme == "https" else None
            run_smoke_test(f"{live.scheme}://{cname}", user_token, host)

    def list_instances() -> list[str]:
        with suppress(DeploymentFailed):
            return list(drainer.connections())
        return []

    def drain(instances: list[str]) -> None:
        if not instances:
            raise DeploymentFailed("no instance was listed before")
        click.echo(f"drain of {', '.join(instances)}")
        drainer.drain(instances)

    return DeploymentActions(smoke_test, list_instances, drain, time.sleep)


def _dry_run_actions(plan: DeploymentPlan) -> DeploymentActions:
    """Return actions that are only printed."""
    return DeploymentActions(
        lambda cname: click.echo(f"smoke test of {cname or plan.url}"),
        lambda: [f"<instances of {plan.live}>"],
        lambda instances: click.echo(f"drain of {', '.join(instances)}"),
        lambda seconds: click.echo(f"pause of {seconds:.0f} s"),
    )


def _required_variable(name: str) -> str:
    if not (value := os.environ.get(name)):
        raise click.UsageError(f"{name} is missing.")
    return value


if __name__ == "__main__":
    main(prog_name="scripts/deploy")
