"""The steps from an account to a healthy environment; each is safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from scripts.eb.application import Application
from scripts.eb.bundle import ROOT
from scripts.eb.calls import AwsCallRefused, AwsCalls, DeploymentFailed
from scripts.eb.dns_record import DnsRecord
from scripts.eb.environments import SERVICE, Environments
from scripts.eb.fleet_size import FleetSize, vcpus
from scripts.eb.options import LAUNCH, Network, Options, options, settings_of
from scripts.eb.stacks import Outputs, Stacks

_Result = TypeVar("_Result")

FOUNDATION = ROOT / "infra" / "foundation.yaml"
CHAT = ROOT / "infra" / "template.yaml"
ADDRESS_TAG, ZONE_TAG = "rts:address", "rts:zone"
"""Tags of the application by which `scripts/deploy destroy` finds the record."""


def foundation_stack(name: str) -> str:
    """Return the name of the stack of infra/foundation.yaml of a deployment."""
    return f"{name}-foundation"


def first_environment(name: str) -> str:
    """Return the name of a deployment's first environment."""
    return f"{name}-live"


@dataclass(frozen=True)
class GivenNetwork:
    """A network that exists; subnets are lists joined by commas."""

    vpc: str
    private_subnets: str
    public_subnets: str


@dataclass(frozen=True)
class CreationPlan:
    """What is created. `code` is the zip of each function by its key, times are in seconds."""

    name: str
    address: str
    region: str
    s3_url: str
    bundle: bytes
    code: Mapping[str, bytes]
    size: FleetSize
    certificate: str | None = None
    zone: str | None = None
    network: GivenNetwork | None = None
    foundation: Mapping[str, str] = field(default_factory=dict)
    """Parameters of infra/foundation.yaml that differ from their defaults."""
    stack: Mapping[str, str] = field(default_factory=dict)
    """Parameters of infra/template.yaml, those of the functions' code included."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Settings of the processes; ARNs of secrets are fetched by Elastic Beanstalk."""
    key_pair: str | None = None
    platform: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 1800.0

    @property
    def label(self) -> str:
        """Label of the application's version, as `scripts/deploy` makes it."""
        return sha256(self.bundle).hexdigest()[:12]

    @property
    def signs_tokens(self) -> bool:
        """Whether a secret is made: neither another one nor an identity provider is given."""
        return not {"RTS_JWT_SECRET", "RTS_JWKS_URL"} & self.properties.keys()


class Creation:
    """One run of `scripts/deploy create`. `sleep` waits for seconds."""

    def __init__(self, plan: CreationPlan, calls: AwsCalls, sleep: Callable[[float], None]) -> None:
        self._plan = plan
        self._calls = calls
        self._stacks = Stacks(calls, plan.name, sleep, plan.tags)
        self._record = DnsRecord(calls, plan.zone, plan.address, sleep) if plan.zone else None
        found_by = {ADDRESS_TAG: plan.address} | ({ZONE_TAG: plan.zone} if plan.zone else {})
        self._application = Application(calls, plan.name, sleep, {**plan.tags, **found_by})
        self._environments = Environments(calls, plan.name, sleep)

    def create(self) -> str:
        """Make everything that is not there yet; return the CNAME of the environment.

        Raises DeploymentFailed with the step and the reason. What was made before stays, and the
        next run goes on from there.
        """
        platform = self._step("check of what is given; makes nothing", self._check)
        bucket = self._step("bucket of Elastic Beanstalk, functions and templates", self._upload)
        foundation = self._step(
            "network, security groups, secret, certificate; waits about 5 minutes",
            lambda: self._apply_foundation(bucket),
        )
        chat = self._step(
            "queues, tables, functions, roles and Redis; waits about 15 minutes",
            lambda: self._apply_chat(bucket, foundation),
        )
        self._step("application and version; waits about a minute", self._publish)
        cname = self._step(
            "environment, until it is Green; waits 10 to 20 minutes",
            lambda: self._make_environment(platform, foundation, chat),
        )
        if record := self._record:
            self._step("name of the address; waits about a minute", lambda: record.point_to(cname))
        return cname

    def _step(self, what: str, action: Callable[[], _Result]) -> _Result:
        self._calls.report(f"# {what}")
        try:
            return action()
        except DeploymentFailed as failed:
            raise DeploymentFailed(f"{failed} (step: {what.partition(';')[0]})") from None

    def _check(self) -> str:
        """Return the platform. Raises DeploymentFailed if a later step would fail for sure."""
        plan = self._plan
        self._calls.report(f"# {vcpus(plan.size)}")
        account = self._calls("sts", "get_caller_identity").get("Account", "<account>")
        if plan.certificate:
            self._check_certificate(plan.certificate)
        if self._record:
            self._record.check_zone()
        # One that is not ours is refused before anything is made.
        self._check_same_address(self._application.tags() or {})
        if not self._stacks.exists(plan.name):
            self._check_no_data_is_left(account)
        return plan.platform or self._application.newest_platform()

    def _check_certificate(self, arn: str) -> None:
        answer = self._calls("acm", "describe_certificate", CertificateArn=arn)
        if self._calls.dry:
            return
        certificate, address = answer["Certificate"], self._plan.address
        if certificate["Status"] != "ISSUED":
            raise DeploymentFailed(f"Certificate {arn} is {certificate['Status']}, not ISSUED.")
        names = {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])}
        if not names & {address, f"*.{address.partition('.')[2]}"}:
            raise DeploymentFailed(f"Certificate {arn} is not for {address}.")

    def _check_same_address(self, tags: Mapping[str, str]) -> None:
        """By the tags `destroy` finds the record; that of another address would stay behind."""
        given = {ADDRESS_TAG: self._plan.address, ZONE_TAG: self._plan.zone}
        for key, value in given.items():
            if value and tags.get(key, value) != value:
                raise DeploymentFailed(
                    f"{self._plan.name} was created with {key.partition(':')[2]} {tags[key]}, not "
                    f"{value}. Give the same one, or create another deployment."
                )

    def _check_no_data_is_left(self, account: str) -> None:
        """A deletion keeps tables and bucket; a new stack cannot make others of the same names."""
        name, region = self._plan.name, self._plan.region
        bucket = self._plan.stack.get("BucketName") or f"{name}-files-{account}-{region}"
        for what, call in {
            f"Table {name}-messages": ("dynamodb", "describe_table", "TableName"),
            f"Table {name}-rooms": ("dynamodb", "describe_table", "TableName"),
            f"Bucket {bucket}": ("s3", "head_bucket", "Bucket"),
        }.items():
            service, operation, parameter = call
            try:
                self._calls(service, operation, **{parameter: what.partition(" ")[2]})
            except AwsCallRefused as refused:
                if refused.code in ("ResourceNotFoundException", "404"):
                    continue
                raise
            if not self._calls.dry:
                raise DeploymentFailed(
                    f"{what} is left of an earlier deployment: choose another name, or export "
                    "what is held and delete both tables and the bucket."
                )

    def _upload(self) -> str:
        """Upload what CloudFormation reads; return the bucket."""
        answer = self._calls(SERVICE, "create_storage_location")
        bucket = str(answer.get("S3Bucket", "<storage location>"))
        files = {f"{self._plan.name}/{key}": data for key, data in self._plan.code.items()}
        for template in (FOUNDATION, CHAT):
            data = template.read_bytes()
            files[self._template_key(template.stem)] = data
        for key, data in files.items():
            self._calls("s3", "put_object", Bucket=bucket, Key=key, Body=data)
        return bucket

    def _template_key(self, stem: str) -> str:
        return f"{self._plan.name}/{stem}.yaml"

    def _template_url(self, bucket: str, stem: str) -> str:
        """Return the URL of an uploaded template, in the style of `aws cloudformation deploy`."""
        return f"{self._plan.s3_url}/{bucket}/{self._template_key(stem)}"

    def _apply_foundation(self, bucket: str) -> Outputs:
        plan = self._plan
        parameters = {
            "Address": plan.address,
            "HostedZoneId": plan.zone if plan.zone and not plan.certificate else "",
            "MakeTokenSecret": "true" if plan.signs_tokens else "false",
            "VpcId": plan.network.vpc if plan.network else "",
        }
        url = self._template_url(bucket, FOUNDATION.stem)
        return self._stacks.apply(
            foundation_stack(plan.name), url, parameters | dict(plan.foundation)
        )

    def _apply_chat(self, bucket: str, foundation: Outputs) -> Outputs:
        plan, network = self._plan, self._network(foundation)
        parameters = {
            "CodeBucket": bucket,
            "VpcId": network.vpc,
            "RedisSubnets": network.subnets,
            "InstanceSecurityGroup": network.security_group,
            "TokenSecret": self._token_secret(foundation),
        }
        if origins := plan.properties.get("RTS_CORS_ORIGINS"):
            parameters["CorsOrigins"] = origins
        url = self._template_url(bucket, CHAT.stem)
        initial = {"CorsOrigins": f"https://{plan.address}"}
        return self._stacks.apply(plan.name, url, parameters | dict(plan.stack), initial)

    def _token_secret(self, foundation: Outputs) -> str:
        """Return the ARN of the secret that signs tokens, or "" for an identity provider's."""
        if self._plan.signs_tokens:
            return foundation["TokenSecretArn"]
        return self._plan.properties.get("RTS_JWT_SECRET", "")

    def _network(self, foundation: Outputs) -> Network:
        given = self._plan.network
        return Network(
            vpc=foundation["VpcId"],
            subnets=given.private_subnets if given else foundation["PrivateSubnets"],
            balancer_subnets=given.public_subnets if given else foundation["PublicSubnets"],
            security_group=foundation["InstanceGroupId"],
            certificate=self._plan.certificate or foundation["CertificateArn"],
            balancer_group=foundation["BalancerGroupId"],
        )

    def _publish(self) -> None:
        self._application.make()
        self._environments.publish(self._plan.label, self._plan.bundle)

    def _make_environment(self, platform: str, foundation: Outputs, chat: Outputs) -> str:
        """Return the CNAME of the environment, which is Ready and Green."""
        plan = self._plan
        environment_id = self._application.make_environment(
            first_environment(plan.name),
            plan.label,
            platform,
            settings_of(self._options(foundation, chat)),
        )
        try:
            return self._environments.wait_healthy(environment_id, plan.timeout).cname
        except DeploymentFailed as failed:
            warnings = self._application.warnings(environment_id)
            why = " ".join(warnings) or "Its events have no warning."
            raise DeploymentFailed(
                f"{failed} {why} If it does not recover, terminate it "
                f"(aws elasticbeanstalk terminate-environment --environment-id {environment_id}) "
                "and create again."
            ) from None

    def _options(self, foundation: Outputs, chat: Outputs) -> Options:
        """Return the options of the environment; all others are in `.ebextensions`."""
        plan = self._plan
        secret = {"RTS_JWT_SECRET": self._token_secret(foundation)} if plan.signs_tokens else {}
        properties = {"RTS_CORS_ORIGINS": f"https://{plan.address}"} | secret
        chosen = options(
            plan.name,
            chat.with_region(plan.region),
            self._network(foundation),
            properties | dict(plan.properties),
        )
        chosen["aws:ec2:instances"] = {"InstanceTypes": plan.size.instance_type}
        chosen["aws:autoscaling:asg"] = {
            "MinSize": str(plan.size.min_size),
            "MaxSize": str(plan.size.max_size),
        }
        if plan.key_pair:
            chosen[LAUNCH]["EC2KeyName"] = plan.key_pair
        return chosen
