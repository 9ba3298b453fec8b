from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws_tests.stack import PRODUCTION, REGION, SHARED, bodies, events_may_send, queue, role, trust

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

TYPES = ["AWS::ECS::TaskDefinition", "AWS::ECS::Service"]
TASK_DEFINITIONS = (
    "SELECT accountId, arn, configuration.TaskDefinitionArn, configuration.Status, "
    "configuration.ContainerDefinitions.Image WHERE resourceType = 'AWS::ECS::TaskDefinition'"
)
LAG = timedelta(minutes=3, seconds=1)


def record(session: boto3.Session, *types: str) -> None:
    """A recorder as Terraform makes it, running."""
    config = session.client("config")
    session.client("s3").create_bucket(
        Bucket="recordings",
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    recorder: Any = {
        "name": "main",
        "roleARN": role(session, "recorder", trust("config.amazonaws.com")),
        "recordingGroup": {"allSupported": False, "resourceTypes": list(types or TYPES)},
        "recordingMode": {"recordingFrequency": "CONTINUOUS"},
    }
    config.put_configuration_recorder(ConfigurationRecorder=recorder)
    config.put_delivery_channel(DeliveryChannel={"name": "main", "s3BucketName": "recordings"})
    config.start_configuration_recorder(ConfigurationRecorderName="main")


def authorize(session: boto3.Session) -> None:
    session.client("config").put_aggregation_authorization(AuthorizedAccountId=SHARED, AuthorizedAwsRegion=REGION)


@pytest.fixture
def config(shared: boto3.Session) -> Any:
    client = shared.client("config")
    client.put_configuration_aggregator(
        ConfigurationAggregatorName="main",
        AccountAggregationSources=[{"AccountIds": [PRODUCTION], "AwsRegions": [REGION]}],
    )
    return client


def register(session: boto3.Session, family: str = "web", image: str = "image:1") -> str:
    definition = session.client("ecs").register_task_definition(
        family=family, containerDefinitions=[{"name": "web", "image": image, "memory": 64}]
    )
    return definition["taskDefinition"]["taskDefinitionArn"]


def deregister(session: boto3.Session, arn: str) -> None:
    session.client("ecs").deregister_task_definition(taskDefinition=arn)


def select(config: Any, expression: str = TASK_DEFINITIONS) -> list[dict[str, Any]]:
    answer = config.select_aggregate_resource_config(ConfigurationAggregatorName="main", Expression=expression)
    return [json.loads(row) for row in answer["Results"]]


def status(config: Any) -> dict[tuple[str, str], str]:
    answer = config.describe_configuration_aggregator_sources_status(ConfigurationAggregatorName="main")
    return {
        (source["SourceId"], source["AwsRegion"]): source["LastUpdateStatus"]
        for source in answer["AggregatedSourceStatusList"]
    }


def states(config: Any) -> dict[str, str]:
    return {row["arn"].rpartition("/")[2]: row["configuration"]["Status"] for row in select(config)}


def test_recorded_task_definition_is_seen_after_the_lag(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    authorize(production)
    arn = register(production)
    assert select(config) == []
    aws.advance(LAG)
    assert select(config) == [
        {
            "accountId": PRODUCTION,
            "arn": arn,
            "configuration": {
                "TaskDefinitionArn": arn,
                "Status": "ACTIVE",
                "ContainerDefinitions": [{"Image": "image:1"}],
            },
        }
    ]


def test_nothing_is_seen_without_authorization(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    register(production)
    aws.advance(LAG)
    assert select(config) == []
    assert status(config) == {(PRODUCTION, REGION): "FAILED"}
    authorize(production)
    assert len(select(config)) == 1
    assert status(config) == {(PRODUCTION, REGION): "SUCCEEDED"}


def test_nothing_is_recorded_without_a_recorder_of_the_type(
    aws: LocalAws, production: boto3.Session, config: Any
) -> None:
    authorize(production)
    register(production)
    record(production, "AWS::ECS::Service")
    register(production)
    aws.advance(LAG)
    assert select(config) == []


def test_recorder_finds_what_was_there_before(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    authorize(production)
    gone = register(production)
    deregister(production, gone)
    register(production)
    record(production)
    aws.advance(LAG)
    assert states(config) == {"web:2": "ACTIVE"}


def test_stopped_recorder_records_nothing_new(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    authorize(production)
    aws.stop_recording(PRODUCTION)
    register(production)
    aws.advance(LAG)
    assert select(config) == []
    recorders = "SELECT configuration.Recording WHERE resourceType = 'AWS::Config::ConfigurationRecorder'"
    assert select(config, recorders) == [{"configuration": {"Recording": True}}]


def test_stopping_may_be_recorded(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    aws.behaviour.records_stopping_of_recorder = True
    record(production)
    authorize(production)
    aws.stop_recording(PRODUCTION)
    aws.advance(LAG)
    recorders = "SELECT configuration.Recording WHERE resourceType = 'AWS::Config::ConfigurationRecorder'"
    assert select(config, recorders) == [{"configuration": {"Recording": False}}]


@pytest.mark.parametrize(("recorded", "expected"), [(False, "ACTIVE"), (True, "INACTIVE")])
def test_deregistration_of_an_old_revision(
    aws: LocalAws, production: boto3.Session, config: Any, recorded: bool, expected: str
) -> None:
    aws.behaviour.records_deregistration_of_old_revisions = recorded
    record(production)
    authorize(production)
    old, latest = register(production), register(production)
    deregister(production, old)
    aws.advance(LAG)
    assert states(config) == {"web:1": expected, "web:2": "ACTIVE"}
    deregister(production, latest)
    aws.advance(LAG)
    assert states(config)["web:2"] == "INACTIVE"


def test_services_are_recorded(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    authorize(production)
    arn = register(production)
    ecs = production.client("ecs")
    ecs.create_cluster(clusterName="main")
    ecs.create_service(cluster="main", serviceName="web", taskDefinition=arn, desiredCount=2)
    aws.advance(LAG)
    services = (
        "SELECT configuration.TaskDefinition, configuration.DesiredCount WHERE resourceType = 'AWS::ECS::Service'"
    )
    assert select(config, services) == [{"configuration": {"TaskDefinition": arn, "DesiredCount": 2}}]
    newer = register(production)
    ecs.update_service(cluster="main", service="web", taskDefinition=newer)
    aws.advance(LAG)
    assert select(config, services)[0]["configuration"]["TaskDefinition"] == newer
    ecs.delete_service(cluster="main", service="web", force=True)
    aws.advance(LAG)
    assert select(config, services) == []


def test_failed_source_shows_nothing_new(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    authorize(production)
    register(production)
    aws.advance(LAG)
    aws.faults.fail_source(PRODUCTION, REGION, "OUTDATED")
    register(production)
    aws.advance(LAG)
    assert states(config) == {"web:1": "ACTIVE"}
    assert status(config) == {(PRODUCTION, REGION): "OUTDATED"}
    aws.faults.heal_source(PRODUCTION, REGION)
    assert states(config) == {"web:1": "ACTIVE", "web:2": "ACTIVE"}
    assert status(config) == {(PRODUCTION, REGION): "SUCCEEDED"}


def test_hidden_source_looks_well_and_shows_nothing(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    authorize(production)
    register(production)
    aws.advance(LAG)
    aws.faults.hide_source(PRODUCTION, REGION)
    assert select(config) == []
    assert status(config) == {(PRODUCTION, REGION): "SUCCEEDED"}


def test_lag_can_be_longer_in_one_account(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    authorize(production)
    aws.faults.recording_lags[PRODUCTION, REGION] = timedelta(hours=2)
    register(production)
    aws.advance(timedelta(hours=1, minutes=59))
    assert select(config) == []
    aws.advance(timedelta(minutes=2))
    assert len(select(config)) == 1


def test_organization_aggregator_needs_no_authorization(
    aws: LocalAws, shared: boto3.Session, production: boto3.Session, config: Any
) -> None:
    role_arn = role(shared, "organization", trust("config.amazonaws.com"))
    for client in (config, production.client("config")):
        client.put_configuration_aggregator(
            ConfigurationAggregatorName="main",
            OrganizationAggregationSource={"RoleArn": role_arn, "AwsRegions": [REGION]},
        )
    record(production)
    register(production)
    aws.advance(LAG)
    assert len(select(config)) == 1
    assert status(config) == {(SHARED, REGION): "SUCCEEDED", (PRODUCTION, REGION): "SUCCEEDED"}
    assert select(production.client("config")) == []
    assert set(status(production.client("config")).values()) == {"FAILED"}


def test_results_are_paged(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    record(production)
    authorize(production)
    for number in range(30):
        register(production, f"family-{number}")
    aws.advance(LAG)
    query = {"ConfigurationAggregatorName": "main", "Expression": TASK_DEFINITIONS}
    first = config.select_aggregate_resource_config(**query)
    assert len(first["Results"]) == 25
    second = config.select_aggregate_resource_config(**query, NextToken=first["NextToken"])
    assert len(second["Results"]) == 5
    assert "NextToken" not in second
    assert len(set(first["Results"] + second["Results"])) == 30
    assert len(config.select_aggregate_resource_config(**query, Limit=100)["Results"]) == 30
    with pytest.raises(ClientError, match="InvalidNextTokenException"):
        config.select_aggregate_resource_config(**query, NextToken="unknown")


def test_status_is_paged_and_filtered(aws: LocalAws, production: boto3.Session, config: Any) -> None:
    config.put_configuration_aggregator(
        ConfigurationAggregatorName="main",
        AccountAggregationSources=[{"AccountIds": [SHARED, PRODUCTION], "AwsRegions": [REGION]}],
    )
    authorize(production)
    describe = config.describe_configuration_aggregator_sources_status
    first = describe(ConfigurationAggregatorName="main", Limit=1)
    assert [source["SourceId"] for source in first["AggregatedSourceStatusList"]] == [SHARED]
    second = describe(ConfigurationAggregatorName="main", Limit=1, NextToken=first["NextToken"])
    assert [source["SourceId"] for source in second["AggregatedSourceStatusList"]] == [PRODUCTION]
    failed = describe(ConfigurationAggregatorName="main", UpdateStatus=["FAILED"])
    assert [source["SourceId"] for source in failed["AggregatedSourceStatusList"]] == [SHARED]


def test_bad_queries_are_refused(config: Any) -> None:
    select_config = config.select_aggregate_resource_config
    with pytest.raises(ClientError, match="NoSuchConfigurationAggregatorException"):
        select_config(ConfigurationAggregatorName="unknown", Expression=TASK_DEFINITIONS)
    for expression in ("SELECT arn FROM x", "SELECT DISTINCT arn", "DELETE", "SELECT arn WHERE " + "x" * 4096):
        with pytest.raises(ClientError, match=r"InvalidExpressionException|ValidationException"):
            select_config(ConfigurationAggregatorName="main", Expression=expression)


def test_role_of_a_recorder_must_trust_config(production: boto3.Session) -> None:
    recorder: Any = {"name": "main", "roleARN": role(production, "wrong", trust("lambda.amazonaws.com"))}
    with pytest.raises(ClientError, match="InvalidRoleException"):
        production.client("config").put_configuration_recorder(ConfigurationRecorder=recorder)


def test_recorder_is_described_as_it_was_put(production: boto3.Session) -> None:
    record(production)
    [recorder] = production.client("config").describe_configuration_recorders()["ConfigurationRecorders"]
    assert recorder["recordingMode"] == {"recordingFrequency": "CONTINUOUS"}
    assert recorder["recordingGroup"]["resourceTypes"] == TYPES


def test_recording_is_an_event(aws: LocalAws, production: boto3.Session) -> None:
    rule_arn = f"arn:aws:events:{REGION}:{PRODUCTION}:rule/config"
    events = production.client("events")
    events.put_rule(Name="config", EventPattern=json.dumps({"source": ["aws.config"]}))
    target = queue(production, "changes", events_may_send(rule_arn))
    events.put_targets(Rule="config", Targets=[{"Id": "queue", "Arn": target}])
    record(production)
    aws.advance(LAG)
    bodies(production, "changes")
    arn = register(production)
    aws.advance(LAG)
    event = next(e for e in map(json.loads, bodies(production, "changes")) if e["resources"] == [arn])
    assert event["detail-type"] == "Config Configuration Item Change"
    assert event["detail"]["messageType"] == "ConfigurationItemChangeNotification"
    item = event["detail"]["configurationItem"]
    assert (item["ARN"], item["awsAccountId"], item["resourceType"]) == (arn, PRODUCTION, "AWS::ECS::TaskDefinition")
    assert item["configuration"]["ContainerDefinitions"][0]["Image"] == "image:1"
    assert item["configuration"]["Status"] == "ACTIVE"


def test_large_item_is_only_summarised_in_its_event(aws: LocalAws, production: boto3.Session) -> None:
    rule_arn = f"arn:aws:events:{REGION}:{PRODUCTION}:rule/config"
    events = production.client("events")
    events.put_rule(Name="config", EventPattern=json.dumps({"source": ["aws.config"]}))
    target = queue(production, "changes", events_may_send(rule_arn))
    events.put_targets(Rule="config", Targets=[{"Id": "queue", "Arn": target}])
    record(production)
    arn = register(production, image="x" * 300_000)
    aws.advance(LAG)
    event = next(e for e in map(json.loads, bodies(production, "changes")) if e["resources"] == [arn])
    assert "configurationItem" not in event["detail"]
    assert event["detail"]["configurationItemSummary"]["ARN"] == arn
