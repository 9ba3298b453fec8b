"""The workload part by a StackSet: accounts of a unit have it, and so has whoever joins; what they use is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from end_to_end.installation import (
    DEVELOPMENT,
    GRACE,
    HOST,
    PRODUCTION,
    RECORDED,
    REGION,
    SHARED,
    TO_ANSWER,
    Installation,
)
from local_aws import LocalAws
from terraform_tools import Terraform, TerraformError, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

SECOND_REGION = "eu-west-1"

# examples/organization, in an organization in which nobody records yet.
CONFIGURATION = """
provider "aws" {
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_credentials_validation = true
}

variable "unit" {
  type = string
}

module "ecr_cleanup" {
  source = "./modules/shared_account"

  workloads = {
    organization_id = "%(organization)s"
    regions         = ["%(region)s", "%(second)s"]
    exempt          = ["%(shared)s"]
  }
  protections         = { newest_images = 0, minimum_age_days = 0 }
  action              = "delete"
  deletion_protection = false
}

module "workload" {
  source = "./modules/workload_stack_set"

  event_bus_arn           = module.ecr_cleanup.event_bus_arn
  organizational_unit_ids = [var.unit]
  regions                 = ["%(region)s", "%(second)s"]
  authorize_aggregator    = false
  recorder                = {}
  tags                    = { Team = "platform" }
}
"""


@dataclass
class Organization:
    """The installation, and the units of the organization."""

    installation: Installation
    root: str
    unit: str

    def move(self, account: str, unit: str) -> None:
        """Move an account to a unit, and let StackSets follow."""
        organizations = self.installation.client("organizations")
        (parent,) = organizations.list_parents(ChildId=account)["Parents"]
        organizations.move_account(AccountId=account, SourceParentId=parent["Id"], DestinationParentId=unit)
        self.installation.aws.advance(RECORDED)

    def instances(self) -> dict[tuple[str, str], str]:
        """The status of each account and region of the StackSet."""
        answer = self.installation.client("cloudformation").list_stack_instances(StackSetName="ecr-cleanup-workload")
        return {(it["Account"], it["Region"]): it["Status"] for it in answer["Summaries"]}


@pytest.fixture(scope="module")
def organization(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    directory = tmp_path_factory.mktemp("stack_set")
    with LocalAws(region=REGION) as aws:
        for account in (SHARED, PRODUCTION, DEVELOPMENT):
            aws.create_account(account)
        organizations = aws.session(SHARED).client("organizations")
        (root,) = organizations.list_roots()["Roots"]
        made = organizations.create_organizational_unit(ParentId=root["Id"], Name="workloads")
        unit = made["OrganizationalUnit"]["Id"]
        organizations.move_account(AccountId=PRODUCTION, SourceParentId=root["Id"], DestinationParentId=unit)
        tree = copy_of_tree(directory / "tree")
        names = {"organization": aws.organization_id, "region": REGION, "second": SECOND_REGION, "shared": SHARED}
        (tree / "organization").mkdir()
        root_module = CONFIGURATION.replace('"./modules', '"../modules') % names
        (tree / "organization/main.tf").write_text(root_module)
        environment = terraform_environment(directory, aws.terraform_environment(SHARED) | {"TF_VAR_unit": unit})
        terraform = Terraform(tree / "organization", environment)
        terraform.init()
        terraform.apply()
        aws.advance(TO_ANSWER)
        yield Organization(Installation(aws, terraform), root["Id"], unit)


def unused_image(installation: Installation, account: str) -> tuple[str, str]:
    """An image whose only task definition, of an account, was deregistered; its check has been made."""
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    installation.deregister(installation.deployed(account, f"{HOST}/{repository}:v1"))
    installation.aws.advance(GRACE + TO_ANSWER)
    return repository, digest


def test_a_second_plan_is_empty(organization: Organization) -> None:
    assert not organization.installation.terraform.plan()


def test_the_management_account_and_accounts_elsewhere_have_no_stack(organization: Organization) -> None:
    assert organization.instances() == {(PRODUCTION, REGION): "CURRENT", (PRODUCTION, SECOND_REGION): "CURRENT"}
    role = organization.installation.client("iam", PRODUCTION).get_role(RoleName=f"ecr-cleanup-reader-{REGION}")["Role"]
    assert {"Key": "Team", "Value": "platform"} in role["Tags"]


def test_while_an_account_of_the_organization_has_no_stack_nothing_is_removed(organization: Organization) -> None:
    installation = organization.installation
    assert DEVELOPMENT not in {account for account, _ in organization.instances()}

    repository, digest = unused_image(installation, PRODUCTION)

    assert installation.exists(repository, digest)
    assert DEVELOPMENT in installation.verdicts(digest)[-1]["reason"]


def test_an_account_that_joins_is_asked_and_then_images_go(organization: Organization) -> None:
    installation = organization.installation
    organization.move(DEVELOPMENT, organization.unit)
    assert {key[0] for key, status in organization.instances().items() if status == "CURRENT"} == {
        PRODUCTION,
        DEVELOPMENT,
    }
    in_use = installation.repository()
    kept = installation.push(in_use, "v1")
    installation.deployed(DEVELOPMENT, f"{HOST}/{in_use}:v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{in_use}:v1"))

    with installation.watched() as watched:
        repository, digest = unused_image(installation, DEVELOPMENT)

    assert not installation.exists(repository, digest)
    assert installation.exists(in_use, kept)
    assert watched.denied == []
    asked = {call.account for call in watched.calls if call.service == "ecs" and call.function}
    assert asked == {PRODUCTION, DEVELOPMENT}
    # Nobody but the StackSet changed anything: Terraform has nothing to do for the new account.
    assert not installation.terraform.plan()


def test_a_change_goes_to_every_account(organization: Organization) -> None:
    installation = organization.installation
    before = event_sources(installation)
    main = installation.terraform.directory / "main.tf"
    text = main.read_text()
    main.write_text(text.replace("recorder                = {}", 'recorder = {}\n  event_source = "config"'))

    installation.terraform.apply()

    assert set(before.values()) == {"aws.ecs"}
    assert set(event_sources(installation).values()) == {"aws.config"}
    main.write_text(text)
    installation.terraform.apply()
    assert event_sources(installation) == before


def event_sources(installation: Installation) -> dict[str, str]:
    """Where the rule of each account has its events from."""
    rules = {
        account: installation.client("events", account).describe_rule(Name="ecr-cleanup-task-definitions")
        for account in (PRODUCTION, DEVELOPMENT)
    }
    return {account: json.loads(rule["EventPattern"])["source"][0] for account, rule in rules.items()}


def test_only_the_management_account_and_delegated_administrators_may(organization: Organization) -> None:
    environment = organization.installation.aws.terraform_environment(PRODUCTION)
    terraform = organization.installation.terraform
    other = replace(terraform, environment={**terraform.environment, **environment})

    with pytest.raises(TerraformError, match="management account or delegated admin"):
        other.apply("-target=module.workload", f"-state={terraform.directory / 'other.tfstate'}")


def test_an_account_that_leaves_loses_its_stacks(organization: Organization) -> None:
    organization.move(DEVELOPMENT, organization.root)

    assert {account for account, _ in organization.instances()} == {PRODUCTION}
    iam = organization.installation.client("iam", DEVELOPMENT)
    names = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    assert [name for name in names if name.startswith("ecr-cleanup")] == []


def test_where_a_stack_fails_the_apply_says_which_and_the_others_are_there(organization: Organization) -> None:
    """As where somebody records already, of whom nobody knew."""
    installation = organization.installation
    config = installation.client("config", DEVELOPMENT)
    role = f"arn:aws:iam::{DEVELOPMENT}:role/theirs"
    installation.client("iam", DEVELOPMENT).create_role(
        RoleName="theirs",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "config.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        ),
    )
    config.put_configuration_recorder(ConfigurationRecorder={"name": "theirs", "roleARN": role})
    organization.move(DEVELOPMENT, organization.unit)

    assert organization.instances() == {
        (PRODUCTION, REGION): "CURRENT",
        (PRODUCTION, SECOND_REGION): "CURRENT",
        (DEVELOPMENT, REGION): "OUTDATED",
        (DEVELOPMENT, SECOND_REGION): "CURRENT",
    }
    # What failed has left nothing half made.
    rules = installation.client("events", DEVELOPMENT).list_rules()["Rules"]
    assert [rule["Name"] for rule in rules if rule["Name"].startswith("ecr-cleanup")] == []
    repository, digest = unused_image(installation, PRODUCTION)
    assert installation.exists(repository, digest)
    assert DEVELOPMENT in installation.verdicts(digest)[-1]["reason"]


def test_destroyed_it_leaves_the_buckets_of_the_recorders(organization: Organization) -> None:
    installation = organization.installation

    installation.terraform.destroy()

    iam = installation.client("iam", PRODUCTION)
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith("ecr-cleanup")]
    assert roles == []
    buckets = [bucket["Name"] for bucket in installation.client("s3", PRODUCTION).list_buckets()["Buckets"]]
    assert [name.rpartition("-")[2] for name in buckets] == ["recorderbucket", "recorderbucket"]
