"""ECR as the whole local AWS offers it: with the permissions of other accounts and of roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws.images import push_image
from local_aws_tests.stack import SHARED, function, policy, statement

if TYPE_CHECKING:
    import boto3

REPOSITORY = f"arn:aws:ecr:eu-central-1:{SHARED}:repository/team/web"


@pytest.fixture
def digest(shared: boto3.Session) -> str:
    ecr = shared.client("ecr")
    ecr.create_repository(repositoryName="team/web", tags=[{"Key": "ecr-cleanup", "Value": "enabled"}])
    return push_image(ecr, "team/web", ["1"])


def test_other_accounts_need_the_repositorys_policy(
    shared: boto3.Session, production: boto3.Session, digest: str
) -> None:
    ecr: Any = production.client("ecr")
    pull = {"registryId": SHARED, "repositoryName": "team/web", "imageIds": [{"imageTag": "1"}]}
    with pytest.raises(ClientError, match="no resource-based policy allows the ecr:BatchGetImage action"):
        ecr.batch_get_image(**pull)
    entry = statement("ecr:BatchGetImage")
    del entry["Resource"]
    entry["Principal"] = {"AWS": production.client("sts").get_caller_identity()["Account"]}
    shared.client("ecr").set_repository_policy(repositoryName="team/web", policyText=policy(entry))
    assert ecr.batch_get_image(**pull)["images"][0]["imageId"]["imageDigest"] == digest


@pytest.mark.parametrize(("value", "is_allowed"), [("enabled", True), ("disabled", False)])
def test_condition_on_a_tag_of_the_repository_counts(
    shared: boto3.Session, digest: str, value: str, is_allowed: bool
) -> None:
    source = """
        import boto3
        def handler(event, context):
            ids = [{"imageDigest": event}]
            return boto3.client("ecr").batch_delete_image(repositoryName="team/web", imageIds=ids)["failures"]
    """
    allowed = statement("ecr:BatchDeleteImage", REPOSITORY)
    allowed["Condition"] = {"StringEquals": {"aws:ResourceTag/ecr-cleanup": value}}
    function(shared, source, allowed)
    answer = shared.client("lambda").invoke(FunctionName="worker", Payload=f'"{digest}"')
    assert ("FunctionError" not in answer) == is_allowed
    left = shared.client("ecr").list_images(repositoryName="team/web")["imageIds"]
    assert bool(left) != is_allowed
