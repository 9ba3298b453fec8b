from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from ecr_cleanup.aws.config import Aggregator
from ecr_cleanup.errors import AggregatorError
from ecr_cleanup.inventory import SourceStatus, TaskDefinition
from ecr_cleanup.settings import Place

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


def test_counts(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed
    answer(stubber, {"COUNT(*)": 7})
    assert aggregator.count_active_task_definitions() == 7
    answer(stubber)
    assert aggregator.count_active_task_definitions() == 0


@pytest.mark.parametrize("row", ['{"COUNT(*)": "many"}', "{}", "not JSON"])
def test_an_answer_that_cannot_be_read_is_an_error(stubbed: tuple[Aggregator, Stubber], row: str) -> None:
    aggregator, stubber = stubbed
    stubber.add_response("select_aggregate_resource_config", {"Results": [row]})
    with pytest.raises(AggregatorError):
        aggregator.count_active_task_definitions()


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


def test_reads_which_accounts_have_anything(stubbed: tuple[Aggregator, Stubber]) -> None:
    aggregator, stubber = stubbed
    answer(stubber, {"accountId": PLACE.account, "awsRegion": PLACE.region, "COUNT(*)": 7})
    assert aggregator.recorded_places() == {PLACE}


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
    }
