"""The name of the clients' address in Route 53: a CNAME of the environment's own."""

from __future__ import annotations

from collections.abc import Callable

from scripts.eb.calls import AwsCalls, DeploymentFailed

ROUTE53 = "route53"
RECORD_TTL_SECONDS = 60
"""As `scripts/deploy` expects: a swap waits as long before it drains the old environment."""
RECORD_CHECK_SECONDS = 10.0
MAX_RECORD_CHECKS = 60


class DnsRecord:
    """The record of `address` in a hosted zone. `sleep` waits for seconds."""

    def __init__(
        self, calls: AwsCalls, zone: str, address: str, sleep: Callable[[float], None]
    ) -> None:
        self._calls = calls
        self._zone = zone
        self._address = address
        self._sleep = sleep

    def check_zone(self) -> None:
        """Raise DeploymentFailed unless the zone holds names such as the address."""
        answer = self._calls(ROUTE53, "get_hosted_zone", Id=self._zone)
        if self._calls.dry:
            return
        zone = answer["HostedZone"]["Name"].rstrip(".")
        if self._address == zone:
            raise DeploymentFailed(
                f"{self._address} is the name of the zone itself, which can have no CNAME: "
                "choose a name below it, or write an alias record by hand and leave --zone out."
            )
        if not self._address.endswith(f".{zone}"):
            raise DeploymentFailed(f"Zone {self._zone} is that of {zone}, not of {self._address}.")

    def target(self) -> str | None:
        """Return where the address leads, None if it has no CNAME."""
        answer = self._calls(
            ROUTE53,
            "list_resource_record_sets",
            HostedZoneId=self._zone,
            StartRecordName=self._address,
            StartRecordType="CNAME",
            MaxItems="1",
        )
        for record in answer.get("ResourceRecordSets", []):
            if (record["Name"].rstrip("."), record["Type"]) == (self._address, "CNAME"):
                values = record.get("ResourceRecords", [{}])
                return str(values[0].get("Value", "")).rstrip(".")
        return None

    def point_to(self, cname: str) -> None:
        """Point the address to `cname`, and wait until all name servers say so.

        Raises DeploymentFailed if it leads elsewhere: that may be somebody's.
        """
        there = self.target()
        if there is not None and there.lower() != cname.lower():
            raise DeploymentFailed(
                f"{self._address} leads to {there}, not to {cname}. Nothing was changed: "
                "delete that record first if it is not needed."
            )
        if there is None:
            self._change("CREATE", cname)

    def delete(self, cname: str) -> None:
        """Delete the record, which leads to `cname`."""
        self._change("DELETE", cname)

    def _change(self, action: str, cname: str) -> None:
        record = {
            "Name": self._address,
            "Type": "CNAME",
            "TTL": RECORD_TTL_SECONDS,
            "ResourceRecords": [{"Value": cname}],
        }
        answer = self._calls(
            ROUTE53,
            "change_resource_record_sets",
            HostedZoneId=self._zone,
            ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]},
        )
        change = answer.get("ChangeInfo", {"Id": "<change>", "Status": "INSYNC"})
        for _ in range(MAX_RECORD_CHECKS):
            if change["Status"] == "INSYNC":
                return
            self._sleep(RECORD_CHECK_SECONDS)
            change = self._calls(ROUTE53, "get_change", Id=change["Id"])["ChangeInfo"]
        raise DeploymentFailed(f"{self._address}: Route 53 still works on it after 10 minutes.")
