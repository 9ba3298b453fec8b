from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from ecr_cleanup.aws.config import Aggregator
from ecr_cleanup.consumers import CONSUMER_TYPES, Consumer
from ecr_cleanup.errors import AggregatorError
from ecr_cleanup.inventory import Recorder, SourceStatus, TaskDefinition
from ecr_cleanup.settings import ECS_TYPES, Place
from local_aws import advanced_query

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = Place("222222222222", "eu-central-1")
ARN = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:"


@pytest.fixture
def stubbed() -> Iterator[tuple[Aggregator, Stubber]]:
    client = boto3.client(
        "config", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    with Stubber(client) as stubber:
        yield Aggregator(client, "ecr-cleanup"), stubber
        stubber.assert_no_pending_responses()


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "accountId": PLACE.account,
        "awsRegion": PLACE.region,
        "arn": f"{ARN}{number}",
        "configuration": {
            "Status": "ACTIVE",
            "ContainerDefinitions": [{"Image": f"image:{number}"}, {"Image": "proxy"}],
        },
    } | changes


def answer(stubber: Stubber, *rows: dict[str, Any], token: str | None = None, after: str | None = None) -> None:
    stubber.add_response(
        "select_aggregate_resource_config",
        {"Results": [json.dumps(row) for row in rows]} | ({"NextToken": token} if token else {}),
        {"Expression": ANY, "ConfigurationAggregatorName": "ecr-cleanup", "Limit": 100}
        | ({"NextToken": after} if after else {}),
    )


def test_reads_all_pages_of_active_task_definitions(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed
    answer(stubber, row(1), row(2), token="more")
    answer(stubber, after="more", token="even more")
    answer(stubber, row(3), after="even more")
    assert aggregator.active_task_definitions() == [
        TaskDefinition(f"{ARN}{number}", PLACE, (f"image:{number}", "proxy")) for number in (1, 2, 3)
    ]


def test_a_page_that_fails_is_not_taken_for_the_last(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed
    answer(stubber, row(1), token="more")
    stubber.add_client_error("select_aggregate_resource_config", "InvalidNextTokenException")
    with pytest.raises(ClientError, match="InvalidNextToken"):
        aggregator.active_task_definitions()


@pytest.mark.parametrize(
    "broken",
    [
        row(1, configuration={}),
        row(1, configuration={"Status": "ACTIVE"}),
        row(1, configuration={"Status": "ACTIVE", "ContainerDefinitions": []}),
        row(1, configuration={"Status": "ACTIVE", "ContainerDefinitions": [{}]}),
        row(1, configuration={"ContainerDefinitions": [{"Image": "x"}]}),
        row(1, configuration={"Status": "ACTIVE", "ContainerDefinitions": "x"}),
        row(1, configuration={"Status": "ACTIVE", "ContainerDefinitions": [{"Image": "x"}, {}]}),
        row(1, configuration={"Status": "ACTIVE", "ContainerDefinitions": [{"Image": "x"}, {"Image": None}]}),
        row(1, configuration={"Status": "ACTIVE", "ContainerDefinitions": [{"Image": 7}]}),
        row(1, configuration={"Status": "ACTIVE", "ContainerDefinitions": [{"Image": " "}]}),
        row(1, configuration=None),
        row(1, arn=None),
        {key: value for key, value in row(1).items() if key != "arn"},
        {key: value for key, value in row(1).items() if key != "accountId"},
    ],
)
def test_a_task_definition_without_images_is_an_error_and_not_no_usage(
    stubbed: tuple[Aggregator, Stubber], broken: dict[str, Any]
) -> None:
    aggregator, stubber = stubbed
    answer(stubber, broken)
    with pytest.raises(AggregatorError):
        aggregator.active_task_definitions()


def test_looks_task_definitions_up_in_queries_that_config_takes(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed
    longest = f"{ARN[:-4]}{'f' * 255}:"
    arns = [f"{longest}{1000000 + number}" for number in range(25)]
    expressions: list[str] = []
    real = aggregator._client.select_aggregate_resource_config
    for _ in range(3):
        answer(
            stubber, row(1, arn=arns[0], configuration={"Status": "INACTIVE", "ContainerDefinitions": [{"Image": "x"}]})
        )
    aggregator._client.meta.events.register(
        "provide-client-params.config.SelectAggregateResourceConfig",
        lambda params, **_: expressions.append(params["Expression"]),
    )
    shown = aggregator.task_definitions(arns)
    assert real is not None
    assert len(expressions) == 3
    assert max(map(len, expressions)) <= 4096
    assert shown[arns[0]].status == "INACTIVE"
    assert arns[1] not in shown


@pytest.mark.parametrize("row", ['{"COUNT(*)": "many"}', '{"COUNT(*)": true}', '{"COUNT(*)": -1}', "{}"])
def test_a_count_that_cannot_be_read_is_an_error(stubbed: tuple[Aggregator, Stubber], row: str) -> None:
    aggregator, stubber = stubbed
    place = {"accountId": PLACE.account, "awsRegion": PLACE.region}
    stubber.add_response("select_aggregate_resource_config", {"Results": [json.dumps(json.loads(row) | place)]})
    with pytest.raises(AggregatorError, match="count"):
        aggregator.counts([])


@pytest.mark.parametrize("row", ["not JSON", "[]", "null", '"text"', '{"COUNT(*)": 1}', '{"accountId": 1}'])
def test_a_row_that_cannot_be_read_is_an_error(stubbed: tuple[Aggregator, Stubber], row: str) -> None:
    aggregator, stubber = stubbed
    for _ in range(3):
        stubber.add_response("select_aggregate_resource_config", {"Results": [row]})
    with pytest.raises(AggregatorError):
        aggregator.counts([])
    with pytest.raises(AggregatorError):
        aggregator.consumers(CONSUMER_TYPES["AWS::ECS::Service"])
    with pytest.raises(AggregatorError):
        aggregator.recorders()


@pytest.mark.parametrize("source", [{}, {"LastUpdateStatus": "PENDING"}])
def test_a_status_that_cannot_be_read_is_an_error(stubbed: tuple[Aggregator, Stubber], source: dict[str, str]) -> None:
    aggregator, stubber = stubbed
    known = {"SourceId": "222222222222", "SourceType": "ACCOUNT", "AwsRegion": "eu-central-1"}
    answer = {"AggregatedSourceStatusList": [known | source]}
    stubber.add_response("describe_configuration_aggregator_sources_status", answer)
    with pytest.raises(AggregatorError, match="status of a source"):
        aggregator.source_statuses()


def test_asks_nothing_where_there_is_nothing_to_ask(stubbed: tuple[Aggregator, Stubber]) -> None:
    assert stubbed[0].task_definitions([]) == {}


def test_reads_the_state_of_each_source(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed

    def source(account: str, status: str, **more: str) -> dict[str, str]:
        return {
            "SourceId": account,
            "SourceType": "ACCOUNT",
            "AwsRegion": "eu-central-1",
            "LastUpdateStatus": status,
        } | more

    for token, after, sources in (
        ("more", None, [source("222222222222", "SUCCEEDED")]),
        (None, "more", [source("333333333333", "FAILED"), source("o-abc", "OUTDATED", SourceType="ORGANIZATION")]),
    ):
        stubber.add_response(
            "describe_configuration_aggregator_sources_status",
            {"AggregatedSourceStatusList": sources} | ({"NextToken": token} if token else {}),
            {"ConfigurationAggregatorName": "ecr-cleanup"} | ({"NextToken": after} if after else {}),
        )
    assert aggregator.source_statuses() == {
        PLACE: SourceStatus.SUCCEEDED,
        Place("333333333333", "eu-central-1"): SourceStatus.FAILED,
        Place("o-abc", "eu-central-1"): SourceStatus.OUTDATED,
    }


def test_an_organization_need_not_have_a_region(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed
    source = {"SourceId": "o-abc", "SourceType": "ORGANIZATION", "LastUpdateStatus": "FAILED"}
    stubber.add_response("describe_configuration_aggregator_sources_status", {"AggregatedSourceStatusList": [source]})
    assert aggregator.source_statuses() == {Place("o-abc", ""): SourceStatus.FAILED}


# What the queries themselves find, by a parser that refuses what AWS does not document


class Queried:
    """A Config client over items, which answers in pages of two."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = items
        self.expressions: list[str] = []

    def get_paginator(self, operation: str) -> Queried:
        assert operation == "select_aggregate_resource_config"
        return self

    def paginate(self, *, Expression: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        self.expressions.append(Expression)
        rows = advanced_query.run(advanced_query.parse(Expression), self.items)
        yield from ({"Results": rows[start : start + 2]} for start in range(0, len(rows), 2))


def item(resource_type: str, name: str, place: Place = PLACE, **configuration: Any) -> dict[str, Any]:
    return {
        "accountId": place.account,
        "awsRegion": place.region,
        "arn": f"arn:aws:any:{place.region}:{place.account}:{name}",
        "resourceType": resource_type,
        "resourceId": name,
        "configurationItemStatus": "OK",
        "configuration": configuration,
    }


def asked(*items: dict[str, Any]) -> Aggregator:
    return Aggregator(Queried(*items), "ecr-cleanup")  # type: ignore[arg-type]


OTHER = Place("333333333333", "eu-west-1")
HOLDING: dict[str, dict[str, Any]] = {
    "AWS::AppRunner::Service": {"SourceConfiguration": {"ImageRepository": {"ImageIdentifier": "image:1"}}},
    "AWS::CodeBuild::Project": {"environment": {"image": "image:1", "environmentVariables": [{"value": "secret"}]}},
    "AWS::ECS::Service": {"TaskDefinition": f"{ARN}1", "DesiredCount": 0},
    "AWS::ECS::TaskDefinition": {"Status": "ACTIVE", "ContainerDefinitions": [{"Image": "image:1"}]},
    "AWS::ECS::TaskSet": {"TaskDefinition": f"{ARN}1"},
    "AWS::SageMaker::Model": {
        "PrimaryContainer": {"Image": "image:1"},
        "Containers": [{"Image": "image:2"}, {"ModelPackageName": "package"}, {"Image": "image:3"}],
    },
}
HELD = {
    "AWS::AppRunner::Service": ("image:1",),
    "AWS::CodeBuild::Project": ("image:1",),
    "AWS::ECS::TaskDefinition": ("image:1",),
    "AWS::SageMaker::Model": ("image:1", "image:2", "image:3"),
}


@pytest.mark.parametrize("resource_type", CONSUMER_TYPES)
def test_finds_what_each_type_holds_and_nothing_of_the_others(resource_type: str) -> None:
    items = [item(each, each.lower(), **configuration) for each, configuration in HOLDING.items()]
    items += [item(resource_type, "second", OTHER, **HOLDING[resource_type])]
    aggregator = asked(*items)
    found = aggregator.consumers(CONSUMER_TYPES[resource_type])
    assert [(each.place, each.arn.rpartition(":")[2]) for each in found] == [
        (PLACE, resource_type.lower().rpartition(":")[2]),
        (OTHER, "second"),
    ]
    for consumer in found:
        assert consumer.images == HELD.get(resource_type, ())
        assert (consumer.task_definition == f"{ARN}1") == (resource_type not in HELD)
    # Whatever else a resource has, secrets among it, is not asked for.
    assert "environmentvariables" not in str(aggregator._client.expressions).lower()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("resource_type", "configuration"),
    [
        ("AWS::AppRunner::Service", {"SourceConfiguration": {"CodeRepository": {"RepositoryUrl": "https://..."}}}),
        ("AWS::AppRunner::Service", {"SourceConfiguration": {"ImageRepository": None}}),
        ("AWS::SageMaker::Model", {"ModelName": "model"}),
        ("AWS::SageMaker::Model", {"Containers": []}),
        ("AWS::SageMaker::Model", {"Containers": [{"ModelPackageName": "package"}]}),
        ("AWS::ECS::Service", {"DeploymentController": {"Type": "EXTERNAL"}}),
        ("AWS::CodeBuild::Project", {"environment": {}}),
    ],
)
def test_a_resource_that_names_no_image_holds_none(resource_type: str, configuration: dict[str, Any]) -> None:
    (found,) = asked(item(resource_type, "x", **configuration)).consumers(CONSUMER_TYPES[resource_type])
    assert (found.images, found.task_definition) == ((), None)


@pytest.mark.parametrize(
    ("resource_type", "configuration"),
    [
        ("AWS::AppRunner::Service", {"SourceConfiguration": {"ImageRepository": {"ImageIdentifier": 7}}}),
        ("AWS::AppRunner::Service", {"SourceConfiguration": {"ImageRepository": {"ImageIdentifier": {}}}}),
        ("AWS::AppRunner::Service", {"SourceConfiguration": {"ImageRepository": {"ImageIdentifier": " "}}}),
        ("AWS::SageMaker::Model", {"Containers": [{"Image": "x"}, {"Image": False}]}),
        ("AWS::CodeBuild::Project", {"environment": {"image": [["x"], 1]}}),
        ("AWS::ECS::Service", {"TaskDefinition": 7}),
        ("AWS::ECS::TaskSet", {"TaskDefinition": ""}),
    ],
)
def test_an_image_of_the_wrong_type_is_an_error_and_not_no_usage(
    resource_type: str, configuration: dict[str, Any]
) -> None:
    with pytest.raises(AggregatorError, match="something else than a text"):
        asked(item(resource_type, "x", **configuration)).consumers(CONSUMER_TYPES[resource_type])


def test_something_else_where_an_object_should_be_is_an_error(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed
    answer(stubber, row(1, configuration={"environment": "image"}))
    with pytest.raises(AggregatorError, match="has no object where image should be"):
        aggregator.consumers(CONSUMER_TYPES["AWS::CodeBuild::Project"])


def test_a_task_definition_named_without_its_arn_is_that_of_the_same_place() -> None:
    china = item("AWS::ECS::Service", "x", TaskDefinition="app:7") | {"arn": "arn:aws-cn:ecs:a:b:service/c/x"}
    (service,) = asked(china).consumers(CONSUMER_TYPES["AWS::ECS::Service"])
    assert service.task_definition == "arn:aws-cn:ecs:eu-central-1:222222222222:task-definition/app:7"


def test_only_active_task_definitions_are_active() -> None:
    inactive = item("AWS::ECS::TaskDefinition", "app:2", Status="INACTIVE", ContainerDefinitions=[{"Image": "x"}])
    active = item("AWS::ECS::TaskDefinition", "app:1", **HOLDING["AWS::ECS::TaskDefinition"])
    aggregator = asked(active, inactive)
    assert [each.arn for each in aggregator.active_task_definitions()] == [active["arn"]]
    shown = aggregator.task_definitions([active["arn"], inactive["arn"], "arn:unknown", "' OR arn = 'x"])
    assert {arn: each.status for arn, each in shown.items()} == {active["arn"]: "ACTIVE", inactive["arn"]: "INACTIVE"}


def test_counts_every_type_by_place_and_active_task_definitions_only() -> None:
    items = [item(each, f"{each}{place}", place, **HOLDING[each]) for each in HOLDING for place in (PLACE, OTHER)]
    items += [item("AWS::ECS::Service", "another"), item("AWS::S3::Bucket", "bucket")]
    items += [item("AWS::ECS::TaskDefinition", "gone", Status="INACTIVE", ContainerDefinitions=[{"Image": "x"}])]
    aggregator = asked(*items)
    expected = {(place, each): 1 for each in HOLDING for place in (PLACE, OTHER)}
    assert aggregator.counts(CONSUMER_TYPES) == expected | {(PLACE, "AWS::ECS::Service"): 2}
    assert set(aggregator.counts(ECS_TYPES)) == {(place, each) for each in ECS_TYPES for place in (PLACE, OTHER)}
    assert asked().counts(CONSUMER_TYPES) == {}


def recorder_item(**changes: Any) -> dict[str, Any]:
    group = {
        "AllSupported": False,
        "ResourceTypes": ["AWS::ECS::TaskDefinition", "AWS::ECS::Service"],
        "ExclusionByResourceTypes": {"ResourceTypes": ["AWS::S3::Bucket"]},
        "RecordingStrategy": {"UseOnly": "INCLUSION_BY_RESOURCE_TYPES"},
    }
    overrides = [
        {"ResourceTypes": ["AWS::ECS::Service"], "RecordingFrequency": "CONTINUOUS", "Description": "x"},
        {"ResourceTypes": ["AWS::ECS::TaskSet"], "RecordingFrequency": "DAILY"},
    ]
    configuration: dict[str, Any] = {
        "Name": "default",
        "Recording": True,
        "RecordingGroup": group,
        "RecordingMode": {"RecordingFrequency": "DAILY", "RecordingModeOverrides": overrides},
    }
    return item("AWS::Config::ConfigurationRecorder", "default", **configuration | changes)


def test_reads_recorders() -> None:
    (recorder,) = asked(recorder_item()).recorders()
    assert recorder == Recorder(
        recorder_item()["arn"],
        PLACE,
        recording=True,
        strategy="INCLUSION_BY_RESOURCE_TYPES",
        all_supported=False,
        included=frozenset({"AWS::ECS::TaskDefinition", "AWS::ECS::Service"}),
        excluded=frozenset({"AWS::S3::Bucket"}),
        frequency="DAILY",
        overrides=(
            (frozenset({"AWS::ECS::Service"}), "CONTINUOUS"),
            (frozenset({"AWS::ECS::TaskSet"}), "DAILY"),
        ),
    )


def test_what_a_recorder_does_not_say_is_not_assumed() -> None:
    (recorder,) = asked(recorder_item(Recording=None, RecordingGroup=None, RecordingMode=None)).recorders()
    assert not recorder.recording
    assert not recorder.covers("AWS::ECS::Service")
    split = {"RecordingModeOverrides": [{"ResourceTypes": ["AWS::ECS::Service"]}, {"RecordingFrequency": "CONTINUOUS"}]}
    (recorder,) = asked(recorder_item(RecordingMode=split)).recorders()
    assert not recorder.is_continuous_for("AWS::ECS::Service")


@pytest.mark.parametrize(
    "broken",
    [
        {"Recording": "yes"},
        {"Recording": 1},
        {"RecordingGroup": {"AllSupported": "true"}},
        {"RecordingGroup": {"ResourceTypes": [7]}},
        {"RecordingMode": {"RecordingModeOverrides": [{"ResourceTypes": [7], "RecordingFrequency": "DAILY"}]}},
    ],
)
def test_a_recorder_that_cannot_be_read_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(AggregatorError):
        asked(recorder_item(**broken)).recorders()


def test_a_recorder_is_no_consumer() -> None:
    aggregator = asked(recorder_item())
    found: list[Consumer] = [each for kind in CONSUMER_TYPES.values() for each in aggregator.consumers(kind)]
    assert found == []
