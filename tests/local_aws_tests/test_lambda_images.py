from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws.images import push_build, push_image
from local_aws_tests.stack import PRODUCTION, REGION, SHARED, package, role, trust

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

REPOSITORY = f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com/web"
IMAGE = f"{REPOSITORY}:v1"


@pytest.fixture
def ecr(shared: boto3.Session) -> Any:
    client = shared.client("ecr")
    client.create_repository(repositoryName="web")
    return client


@pytest.fixture
def role_arn(production: boto3.Session) -> str:
    return role(production, "worker", trust("lambda.amazonaws.com"))


@pytest.fixture
def functions(production: boto3.Session) -> Any:
    return production.client("lambda")


def create(functions: Any, role_arn: str, uri: str = IMAGE, name: str = "worker", **options: Any) -> dict[str, Any]:
    created: dict[str, Any] = functions.create_function(
        FunctionName=name, Role=role_arn, PackageType="Image", Code={"ImageUri": uri}, **options
    )
    return created


def images(functions: Any, name: str = "worker") -> dict[str, tuple[str, str, str]]:
    """Of each version: image, resolved image, hash of the code."""
    answer = functions.list_functions(FunctionVersion="ALL")
    found = {}
    for each in answer["Functions"]:
        if each["FunctionName"] == name:
            got = functions.get_function(FunctionName=name, Qualifier=each["Version"])
            assert got["Configuration"]["CodeSha256"] == each["CodeSha256"]
            found[each["Version"]] = got["Code"]["ImageUri"], got["Code"]["ResolvedImageUri"], each["CodeSha256"]
    return found


def test_image_is_resolved_when_the_function_is_made(functions: Any, role_arn: str, ecr: Any) -> None:
    digest = push_image(ecr, "web", ["v1"])
    created = create(functions, role_arn)
    push_image(ecr, "web", ["v1"])
    assert (created["PackageType"], created["CodeSha256"]) == ("Image", digest.removeprefix("sha256:"))
    assert images(functions) == {"$LATEST": (IMAGE, f"{REPOSITORY}@{digest}", digest.removeprefix("sha256:"))}


def test_each_version_keeps_its_image(functions: Any, role_arn: str, ecr: Any) -> None:
    digests = [push_image(ecr, "web", ["v1"])]
    create(functions, role_arn, Publish=True)
    for tag in ("v2", "v3"):
        digests.append(push_image(ecr, "web", [tag]))
        functions.update_function_code(FunctionName="worker", ImageUri=f"{REPOSITORY}:{tag}")
        if tag == "v2":
            functions.publish_version(FunctionName="worker")
    assert {version: (uri, resolved) for version, (uri, resolved, _) in images(functions).items()} == {
        "1": (IMAGE, f"{REPOSITORY}@{digests[0]}"),
        "2": (f"{REPOSITORY}:v2", f"{REPOSITORY}@{digests[1]}"),
        "$LATEST": (f"{REPOSITORY}:v3", f"{REPOSITORY}@{digests[2]}"),
    }
    arns = [each["FunctionArn"] for each in functions.list_functions(FunctionVersion="ALL")["Functions"]]
    base = f"arn:aws:lambda:{REGION}:{PRODUCTION}:function:worker"
    assert sorted(arns) == [f"{base}:{version}" for version in ("$LATEST", "1", "2")]
    assert [each["FunctionArn"] for each in functions.list_functions()["Functions"]] == [base]


def test_image_by_digest(functions: Any, role_arn: str, ecr: Any) -> None:
    digest = push_image(ecr, "web", ["v1"])
    uri = f"{REPOSITORY}@{digest}"
    create(functions, role_arn, uri)
    assert images(functions)["$LATEST"] == (uri, uri, digest.removeprefix("sha256:"))


def test_image_of_another_region_or_an_index_is_refused(functions: Any, role_arn: str, ecr: Any) -> None:
    push_build(ecr, "web", ["index"])
    for uri in (IMAGE, f"{REPOSITORY}:index", IMAGE.replace(REGION, "eu-west-1"), "nginx", IMAGE.replace("web", "api")):
        with pytest.raises(ClientError) as refused:
            create(functions, role_arn, uri)
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert functions.list_functions()["Functions"] == []


def test_package_type_and_code_belong_together(functions: Any, role_arn: str, ecr: Any) -> None:
    push_image(ecr, "web", ["v1"])
    code = package("def handler(event, context): pass")
    zipped = {"Runtime": "python3.13", "Handler": "app.handler", "Role": role_arn}
    for options in (
        {"PackageType": "Image", "Code": {"ZipFile": code}, "Role": role_arn},
        {"Code": {"ImageUri": IMAGE}, **zipped},
        {"PackageType": "Image", "Code": {"ImageUri": IMAGE}, **zipped},
    ):
        with pytest.raises(ClientError, match="PackageType"):
            functions.create_function(FunctionName="worker", **options)
    functions.create_function(FunctionName="zip", Code={"ZipFile": code}, **zipped)
    with pytest.raises(ClientError, match="PackageType"):
        functions.update_function_code(FunctionName="zip", ImageUri=IMAGE)
    create(functions, role_arn)
    with pytest.raises(ClientError, match="PackageType"):
        functions.update_function_code(FunctionName="worker", ZipFile=code)
    with pytest.raises(ClientError, match="does not exist"):
        functions.update_function_code(FunctionName="worker", ImageUri=f"{REPOSITORY}:missing")
    assert images(functions)["$LATEST"][0] == IMAGE


def test_functions_come_in_pages_of_50(functions: Any, role_arn: str, ecr: Any) -> None:
    push_image(ecr, "web", ["v1"])
    for number in range(51):
        create(functions, role_arn, name=f"worker-{number}")
    pages = list(functions.get_paginator("list_functions").paginate(FunctionVersion="ALL"))
    assert [len(page["Functions"]) for page in pages] == [50, 1]
    assert len({each["FunctionName"] for page in pages for each in page["Functions"]}) == 51
    assert len(functions.list_functions(MaxItems=1000)["Functions"]) == 50
    with pytest.raises(ClientError, match="Marker"):
        functions.list_functions(Marker="none")


def test_function_of_an_image_is_not_run(aws: LocalAws, functions: Any, role_arn: str, ecr: Any) -> None:
    push_image(ecr, "web", ["v1"])
    create(functions, role_arn)
    answer = functions.invoke(FunctionName="worker")
    assert answer["FunctionError"] == "Unhandled"
    assert "image" in str(aws.invocations("worker")[0].error)
