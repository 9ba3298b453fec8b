"""The command line on an installation, as a user who may do no more than docs/command_line.md asks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from documentation.checks import code_blocks, section
from documentation.generate import TREE
from end_to_end.installation import HOST, PRODUCTION, REGION, SHARED

if TYPE_CHECKING:
    from collections.abc import Callable

    from end_to_end.installation import Installation

# With the time of the local AWS.
_PROGRAM = """
from datetime import datetime
from ecr_cleanup.cli import clock, main
clock.now = lambda: datetime.fromisoformat("{now}")
main()
"""


@pytest.fixture(scope="module")
def run(applied: Installation) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command as a role with the policy of the documentation."""
    policy = code_blocks(section((TREE / "docs/command_line.md").read_text(), "Permissions"), "json")[0]
    iam = applied.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{SHARED}:root"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = iam.create_role(RoleName="reader-of-reports", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.put_role_policy(RoleName="reader-of-reports", PolicyName="read", PolicyDocument=policy)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ENDPOINT_URL": applied.aws.terraform_environment(SHARED)["AWS_ENDPOINT_URL"],
        "AWS_REGION": REGION,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        # Anew each time, since the clock moves on.
        assumed = applied.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me")["Credentials"]
        credentials = {
            "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
            "AWS_SESSION_TOKEN": assumed["SessionToken"],
        }
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(now=applied.aws.clock.now().isoformat()), *arguments],
            env=environment | credentials,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_plans_explains_and_lists(
    installation: Installation, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    repository = installation.repository()
    used, unused = installation.push(repository, "v1"), installation.push(repository, "v2")
    installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1")
    installation.aws.advance(timedelta(days=15))
    planned = run("plan", repository, "--output", "json")
    assert planned.returncode == 0, planned.stderr
    rules = {image["digest"]: image["rule"] for image in json.loads(planned.stdout)["images"]}
    assert rules == {used: "in_use", unused: "unused"}
    explained = run("explain", f"{HOST}/{repository}:v1", "--output", "json")
    assert explained.returncode == 0, explained.stderr
    assert {usage["account"] for usage in json.loads(explained.stdout)["usages"]} == {PRODUCTION}
    pending = run("pending")
    assert (pending.returncode, pending.stdout) == (0, "No check is pending.\n"), pending.stderr


def test_looks_at_the_health_of_the_installation(
    installation: Installation, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    result = run("doctor", "--output", "json")
    findings = json.loads(result.stdout)["findings"]
    assert [each for each in findings if each["status"] == "failure"] == []
    denied = [each["text"] for each in findings if "may not call" in each["text"]]
    assert denied == []
    sound = {each["subject"] for each in findings if each["status"] == "ok"}
    assert {"functions", "inventory", "rules", "dead letters"} <= sound
