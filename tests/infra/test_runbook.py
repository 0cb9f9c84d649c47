"""Commands of the operators' documents against what AWS does by default."""

from __future__ import annotations

import re

from tests.helpers.template import PATH

DOCS = PATH.parents[1] / "docs"


def commands(program: str) -> list[str]:
    """Return the commands of all documents that begin with these words, continued lines joined."""
    texts = [path.read_text().replace("\\\n", " ") for path in sorted(DOCS.glob("*.md"))]
    return [found for text in texts for found in re.findall(rf"{program}[^`\n]*", text)]


def test_a_new_token_of_redis_is_applied_at_once() -> None:
    """Without --apply-immediately it would wait for the maintenance window, and the URL fail."""
    rotations = commands("aws elasticache modify-replication-group")
    assert rotations
    assert [one for one in rotations if "--apply-immediately" not in one] == []


def test_the_template_travels_through_a_bucket() -> None:
    """It is larger than the 51,200 bytes that a request holds."""
    deployments = [one for one in commands("aws cloudformation deploy") if "template.yaml" in one]
    assert deployments
    assert [one for one in deployments if "--s3-bucket" not in one] == []
