"""The policies in the plans make sense to parliament, a linter of IAM policies.

https://github.com/duo-labs/parliament
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compliance.conftest import Json

PARLIAMENT = Path(sys.executable).with_name("parliament")
# They are newer than the linter's list. Each is called under these very policies by tests/end_to_end.
NEWER = {
    "ecr:RegisterPullTimeUpdateExclusion",
    "ecr:UpdateImageStorageClass",
    "ecs:DescribeDaemon",
    "ecs:DescribeDaemonDeployments",
    "ecs:DescribeDaemonRevisions",
    "ecs:DescribeDaemonTaskDefinition",
    "ecs:ListDaemonTaskDefinitions",
    "ecs:ListDaemons",
}
# The linter knows it for no action, and AWS has it for all on a key:
# https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-resource-aliases
ALIASES = {
    f"Unknown condition kms:ResourceAliases for action kms:{action}" for action in ("Decrypt", "GenerateDataKey")
}
# Readers look at all that there is in their region, whatever its name, and can change none of it.
READ_ALL = {
    "config:DescribeConfigurationRecorderStatus",
    "config:DescribeConfigurationRecorders",
    "lambda:GetFunction",
    "scheduler:GetSchedule",
}


def documents(plan: Json) -> Iterator[tuple[str, str]]:
    """The policies of a plan, each with the address of what has it, without those that name no resource.

    Those are trust policies, the repositories' of the examples, and that of a key, which calls itself `*`.
    """
    for change in plan["resource_changes"]:
        document = (change["change"]["after"] or {}).get("policy")
        if isinstance(document, str) and change["type"] not in ("aws_ecr_repository_policy", "aws_kms_key"):
            yield change["address"], document


def findings(policies: Mapping[str, str], directory: Path) -> set[tuple[str, str, str]]:
    """What the linter says: where, which rule, and of what."""
    names = {}
    for number, (name, policy) in enumerate(sorted(policies.items())):
        file = directory / f"{number}.json"
        file.write_text(policy)
        names[str(file)] = name
    ended = subprocess.run(
        [PARLIAMENT, "--directory", directory, "--json"], capture_output=True, text=True, check=False
    )
    found = set()
    for line in ended.stdout.splitlines():
        finding = json.loads(line)
        details = finding["detail"] if isinstance(finding["detail"], list) else [finding["detail"]]
        found |= {(names[finding["location"]["filepath"]], finding["issue"], str(each)) for each in details}
    # It ends with 1 where it found something, and says of a crash nothing on its output.
    assert ended.returncode == bool(found), ended.stderr
    return found


def test_nothing_is_found_but_what_was_looked_at(plans: Mapping[str, Json], tmp_path: Path) -> None:
    policies = {f"{name}: {where}": it for name, plan in plans.items() for where, it in documents(plan)}
    found = findings(policies, tmp_path)

    assert {(issue, what) for _, issue, what in found} == {
        *(("UNKNOWN_ACTION", f"Unknown action {action}") for action in NEWER),
        *(("RESOURCE_STAR", action) for action in READ_ALL),
        *(("UNKNOWN_CONDITION_FOR_ACTION", what) for what in ALIASES),
    }
    assert [where for where, issue, _ in found if issue == "RESOURCE_STAR" and not where.endswith(".reader[0]")] == []


def test_finds_what_makes_no_sense(tmp_path: Path) -> None:
    statement = {"Effect": "Allow", "Action": "ecr:RemoveImage", "Resource": "*"}

    found = findings({"it": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}, tmp_path)

    assert found == {("it", "UNKNOWN_ACTION", "Unknown action ecr:RemoveImage")}
