"""Each error is one line that a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore import exceptions as botocore_errors

from cli.conftest import CLI_ENVIRONMENT, configure
from ecr_cleanup.cli.calls import READS
from ecr_cleanup.cli.failures import NotAllowedError, error_of_sdk
from ecr_cleanup.cli.session import AwsSession
from fakes import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import CommandLine
    from integration.bench import Bench


def test_no_credentials(bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object, **__: object) -> None:
        raise botocore_errors.NoCredentialsError

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", raises)
    assert "there are no AWS credentials: sign in" in cli.fails(3, "plan")


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException"])
def test_expired_credentials(bench: Bench, cli: CommandLine, code: str) -> None:
    cli.refuse("lambda:GetFunctionConfiguration", code)
    assert "your AWS credentials have expired: sign in anew" in cli.fails(3, "plan")


def test_credentials_that_expire_meanwhile(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("dynamodb:BatchGetItem", "ExpiredTokenException")
    assert "your AWS credentials have expired" in cli.fails(3, "plan")


def test_credentials_that_aws_does_not_know(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("lambda:GetFunctionConfiguration", "UnrecognizedClientException")
    assert "AWS does not accept your credentials" in cli.fails(3, "plan")


def test_a_missing_permission_is_named_as_aws_names_it(bench: Bench, cli: CommandLine) -> None:
    message = "User: arn:aws:iam::1:user/me is not authorized to perform: ecr:DescribeImages on resource: x\nbecause"
    cli.refuse("ecr:DescribeImages", "AccessDeniedException", message)
    line = cli.fails(3, "plan")
    assert line.startswith("ecr-cleanup: you may not call ecr:DescribeImages: User: arn:aws:iam::1:user/me")


def test_a_missing_permission_is_named_by_the_call(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("resourcegroupstaggingapi:GetResources", "AccessDeniedException", "")
    assert "you may not call tag:GetResources" in cli.fails(3, "plan")


@pytest.mark.parametrize("call", ["dynamodb:Query", "dynamodb:BatchGetItem"])
def test_a_missing_permission_for_the_ledger(bench: Bench, cli: CommandLine, call: str) -> None:
    cli.refuse(call, "AccessDeniedException", "")
    assert f"you may not call {call}" in cli.fails(3, "plan")


def test_an_installation_that_is_not_there(bench: Bench, cli: CommandLine) -> None:
    line = cli.fails(3, "plan", "--name-prefix", "other")
    assert "no function other-run-checks in the account 111111111111 and region eu-central-1" in line
    assert "--name-prefix" in line
    assert "--aggregator" in line


def test_settings_of_another_version(bench: Bench, cli: CommandLine) -> None:
    configure(ACTION="burn")
    assert "the settings of ecr-cleanup-run-checks make no sense" in cli.fails(3, "plan")


def test_settings_under_a_key_that_one_may_not_use(bench: Bench, cli: CommandLine) -> None:
    error = {"ErrorCode": "AccessDeniedException", "Message": "no key"}
    cli.answer("lambda:GetFunctionConfiguration", {"Environment": {"Error": error}})
    assert "which takes kms:Decrypt with the function's key: no key" in cli.fails(3, "plan")


@pytest.mark.real_aggregator
def test_an_aggregator_that_is_not_there(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("config:DescribeConfigurationAggregatorSourcesStatus", "NoSuchConfigurationAggregatorException")
    cli.answer(
        "config:DescribeConfigurationAggregators",
        {"ConfigurationAggregators": [{"ConfigurationAggregatorName": name} for name in ("two", "one")]},
    )
    line = cli.fails(3, "plan")
    assert "there is no aggregator ecr-cleanup: those of this account and region are one, two" in line


@pytest.mark.real_aggregator
def test_no_aggregator_at_all(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("config:DescribeConfigurationAggregatorSourcesStatus", "NoSuchConfigurationAggregatorException")
    cli.answer("config:DescribeConfigurationAggregators", {"ConfigurationAggregators": []})
    assert "there is no aggregator ecr-cleanup: there is none here" in cli.fails(3, "plan")


@pytest.mark.real_aggregator
def test_aggregators_that_one_may_not_list(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("config:DescribeConfigurationAggregatorSourcesStatus", "NoSuchConfigurationAggregatorException")
    cli.refuse("config:DescribeConfigurationAggregators", "AccessDeniedException", "")
    line = cli.fails(3, "plan")
    assert "which there are, you may not ask (config:DescribeConfigurationAggregators)" in line


@pytest.mark.real_aggregator
def test_an_aggregator_that_one_may_not_ask(bench: Bench, cli: CommandLine) -> None:
    cli.answer("config:DescribeConfigurationAggregatorSourcesStatus", {"AggregatedSourceStatusList": []})
    cli.refuse("config:SelectAggregateResourceConfig", "AccessDeniedException", "")
    assert "you may not call config:SelectAggregateResourceConfig" in cli.fails(3, "plan")


def test_throttling_says_how_far_it_got(bench: Bench, cli: CommandLine) -> None:
    bench.ecr.repository("team/other", ecr_cleanup="enabled")
    cli.refuse("ecr:DescribeImages", "ThrottlingException", after=1)
    line = cli.fails(3, "plan")
    assert "AWS throttles ecr:DescribeImages: try again later" in line
    assert line.endswith("(1 of 2 repositories were read)")


@pytest.mark.parametrize("command", ["explain", "check"])
def test_an_image_that_does_not_exist(bench: Bench, cli: CommandLine, command: str) -> None:
    assert "there is no image team/app:v9 in the registry" in cli.fails(5, command, "team/app:v9")


def test_an_image_of_a_repository_that_does_not_exist(bench: Bench, cli: CommandLine) -> None:
    assert "there is no repository eu-central-1/team/other" in cli.fails(5, "explain", "team/other:v1")


@pytest.mark.parametrize("command", ["explain", "check"])
@pytest.mark.parametrize("image", ["Team/App:v1", "team/app:", "team/app@sha256:12", "a b", f"{HOST}/x"])
def test_a_malformed_reference(bench: Bench, cli: CommandLine, command: str, image: str) -> None:
    line = cli.fails(2, command, image)
    assert "is not an image" in line
    assert "write repository:tag" in line


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("999999999999.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1", "is not of this installation"),
        ("111111111111.dkr.ecr.us-east-1.amazonaws.com/team/app:v1", "is not of this installation"),
        ("docker.io/library/nginx:1", "is no image of an ECR registry"),
    ],
)
def test_an_image_of_another_registry(bench: Bench, cli: CommandLine, image: str, text: str) -> None:
    assert text in cli.fails(5, "explain", image)


def test_a_repository_that_does_not_exist(bench: Bench, cli: CommandLine) -> None:
    line = cli.fails(5, "plan", "team/other")
    assert "there is no repository team/other in the registry 111111111111 (eu-central-1)" in line


@pytest.mark.parametrize("name", ["team/app:v1", "Team", f"{HOST}/x:y:z"])
def test_a_name_that_is_none_of_a_repository(bench: Bench, cli: CommandLine, name: str) -> None:
    assert "is not" in cli.fails(2, "plan", name)


def test_a_region_is_missing(bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert "no region is configured: give --region, or set AWS_REGION" in cli.fails(3, "plan")


def test_the_region_can_come_from_either_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert AwsSession(None, None, READS).region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert AwsSession(None, None, READS).region == "eu-west-2"
    assert AwsSession(None, "eu-west-3", READS).region == "eu-west-3"


@pytest.mark.parametrize("region", ["eu-central-1\n", "nowhere", "eu central 1", "EU-CENTRAL-1"])
def test_a_region_that_is_none(bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    line = cli.fails(2, "plan", "--region", region)
    assert line == f"ecr-cleanup: --region is {region!r}, but must be one such as eu-central-1"
    monkeypatch.setenv("AWS_REGION", region)
    assert "the region of your AWS configuration is" in cli.fails(2, "pending")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["plan", "--burn"], "no such option: --burn; see ecr-cleanup plan --help"),
        (["--burn"], "no such option: --burn; see ecr-cleanup --help"),
        (["burn"], "no such command 'burn'; see ecr-cleanup --help"),
        (["explain"], "missing argument 'IMAGE'; see ecr-cleanup explain --help"),
        (
            ["plan", "--output", "xml"],
            "invalid value for '--output': 'xml' is not one of 'table', 'json', 'csv', 'html'",
        ),
        (["plan", "--json", "--output", "csv"], "--json and --output csv contradict each other: give one of them"),
    ],
)
def test_a_command_line_that_is_wrong(cli: CommandLine, arguments: list[str], line: str) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"ecr-cleanup: {line}")
    assert result.stderr.count("\n") == 1


def test_without_arguments_the_help_is_the_answer(cli: CommandLine) -> None:
    result = cli()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == cli.prints("--help")


def test_names_that_are_long_and_odd(bench: Bench, cli: CommandLine) -> None:
    for command in ("plan", "explain", "check"):
        assert len(cli.fails(2, command, "a" * 5000)) < 1500
        assert "\n" not in cli.fails(2, command, "a\nb\x1b[31m")
    longest = "a" * 256
    assert longest in cli.fails(5, "plan", longest)
    assert longest in cli.fails(5, "explain", longest)


def test_a_profile_that_is_not_there(bench: Bench, cli: CommandLine) -> None:
    assert "The config profile (nobody) could not be found" in cli.fails(3, "plan", "--profile", "nobody")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--account-id", "222222222222"], "give --aggregator, too"),
        (["--aggregator", "ours"], "--aggregator needs --account-id"),
        (["--aggregator", "ours", "--account-id", "2"], "--account-id is '2', but must be 12 digits"),
        (["--aggregator", "o u", "--account-id", "222222222222"], "--aggregator is 'o u', but must be letters"),
        (["--aggregator", "o", "--account-id", "222222222222", "--registry-region", "x"], "--registry-region is 'x'"),
        (["--name-prefix", "Not This"], "--name-prefix is 'Not This', but must be 1 to 24 lower-case letters"),
        (["--aggregator", "ours", "--account-id", "222222222222", "--opt-in-tag", "on"], "must be like"),
        (["--settings", "/nowhere/settings"], "cannot be read"),
    ],
)
def test_arguments_that_make_no_sense(bench: Bench, cli: CommandLine, arguments: list[str], text: str) -> None:
    assert text in cli.fails(2, "plan", *arguments)


def test_a_settings_file_that_makes_no_sense(bench: Bench, cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("REGISTRY_ID=1\nnonsense\n")
    assert f"line 2 of {file} is not of the form" in cli.fails(2, "plan", "--settings", str(file))
    file.write_text("REGISTRY_ID=1\n")
    assert f"the settings of {file} make no sense" in cli.fails(2, "plan", "--settings", str(file))


def test_an_error_that_nobody_expected(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("ecr:DescribeImages", "ServerException", "oh\nno")
    assert cli.fails(3, "plan") == "ecr-cleanup: AWS refused DescribeImages: ServerException: oh no"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (botocore_errors.UnauthorizedSSOTokenError(), "credentials could not be had"),
        (botocore_errors.CredentialRetrievalError(provider="process", error_msg="oh"), "credentials could not be had"),
        (botocore_errors.EndpointConnectionError(endpoint_url="https://x"), "AWS cannot be reached"),
        (botocore_errors.ReadTimeoutError(endpoint_url="https://x"), "AWS cannot be reached"),
        (botocore_errors.NoRegionError(), "no region is configured"),
        (botocore_errors.ParamValidationError(report="oh"), "AWS cannot be asked"),
    ],
)
def test_errors_of_the_sdk(error: Exception, text: str) -> None:
    assert text in str(error_of_sdk(error))


def test_a_call_that_a_command_must_not_make_never_leaves(bench: Bench) -> None:
    client: Any = AwsSession(None, None, READS).client("ecr")
    with pytest.raises(NotAllowedError, match="must not call ecr:BatchDeleteImage"):
        client.batch_delete_image(repositoryName="team/app", imageIds=[{"imageTag": "v1"}])
    assert bench.left(bench.image_id)


def test_an_error_is_no_word_of_python(bench: Bench, cli: CommandLine) -> None:
    boto3.client("dynamodb").delete_table(TableName=CLI_ENVIRONMENT["LEDGER_TABLE_NAME"])
    result = cli("plan")
    assert result.exit_code == 4
    assert "the ledger could not be read" in result.stderr
    assert "Traceback" not in result.output
