"""AWS Config: what recorders record of ECS, what the aggregator shows of it, and when.

An item is recorded where a recorder that records its type is running, and is seen in the aggregator after a lag, if the
source account authorized the aggregator (or is of its organization). Recorders, aggregators and authorizations
themselves are moto's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.config.models import ConfigAggregator, ConfigBackend, config_backends
from moto.config.responses import ConfigResponse
from moto.core.exceptions import JsonRESTError
from moto.ecs.models import ecs_backends

from local_aws import advanced_query
from local_aws.identity import RoleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from local_aws.eventbridge import EventBridge
    from local_aws.server import Exchange
    from local_aws.world import World

TASK_DEFINITION = "AWS::ECS::TaskDefinition"
SERVICE = "AWS::ECS::Service"
RECORDER = "AWS::Config::ConfigurationRecorder"
_MAX_EVENT = 256 * 1024
_PAGE, _AGGREGATE_PAGE, _STATUS_PAGE = 25, 500, 100
_MAX_LIMIT = 100


@dataclass(frozen=True)
class _Version:
    """One state of a resource, from the moment the aggregator shows it; None once the resource is deleted."""

    visible_from: datetime
    item: dict[str, Any] | None


_Key = tuple[str, str, str, str]


class Config:
    """The recorders and aggregators of all accounts."""

    def __init__(self, world: World, events: EventBridge) -> None:
        self._world = world
        self._events = events
        self._history: dict[_Key, list[_Version]] = {}
        self._pages: dict[str, list[Any]] = {}
        patches = world.patches
        patches.wrap(ConfigBackend, "put_configuration_recorder", self._put_recorder)
        patches.wrap(ConfigBackend, "start_configuration_recorder", self._start_recorder)
        patches.wrap(ConfigBackend, "stop_configuration_recorder", self._stop_recorder)
        patches.wrap(ConfigBackend, "delete_configuration_recorder", self._delete_recorder)
        patches.set(ConfigResponse, "select_aggregate_resource_config", self._select_request())
        patches.set(ConfigResponse, "describe_configuration_aggregator_sources_status", self._sources_status_request())

    def observe(self, exchange: Exchange) -> None:
        """Record what a call of ECS changed."""
        api = exchange.api
        if api.service != "ecs" or exchange.error_code:
            return
        if api.operation in ("RegisterTaskDefinition", "DeregisterTaskDefinition"):
            definitions = [exchange.answer["taskDefinition"]]
        elif api.operation == "DeleteTaskDefinitions":
            definitions = exchange.answer["taskDefinitions"]
        else:
            definitions = []
        for definition in definitions:
            if api.operation == "RegisterTaskDefinition" or self._records_end_of(exchange, definition):
                self._record_task_definition(exchange.account, api.region, definition)
        if api.operation in ("CreateService", "UpdateService", "DeleteService"):
            deleted = api.operation == "DeleteService"
            self._record_service(exchange.account, api.region, exchange.answer["service"], deleted=deleted)

    def stop_recording(self, account: str, region: str) -> None:
        """Stop an account's recorders as its own administrator would."""
        backend = config_backends[account][region]
        for name in list(backend.recorders):
            backend.stop_configuration_recorder(name)

    # Recording

    def _records_end_of(self, exchange: Exchange, definition: dict[str, Any]) -> bool:
        if self._world.behaviour.records_deregistration_of_old_revisions:
            return True
        revisions = ecs_backends[exchange.account][exchange.api.region].task_definitions
        return bool(definition["revision"] == max(revisions.get(definition["family"], {0: None})))

    def _record_task_definition(self, account: str, region: str, definition: dict[str, Any]) -> None:
        name = f"{definition['family']}:{definition['revision']}"
        configuration = _pascal_case(definition)
        # Config follows the CloudFormation schema, which has no revision of its own.
        configuration.pop("Revision", None)
        self._record(account, region, TASK_DEFINITION, name, name, definition["taskDefinitionArn"], configuration)

    def _record_service(self, account: str, region: str, service: dict[str, Any], *, deleted: bool) -> None:
        configuration = {
            "ServiceArn": service["serviceArn"],
            "ServiceName": service["serviceName"],
            "Cluster": service["clusterArn"],
            "TaskDefinition": service.get("taskDefinition"),
            "DesiredCount": service.get("desiredCount"),
            "LaunchType": service.get("launchType"),
        }
        self._record(
            account,
            region,
            SERVICE,
            service["serviceArn"],
            service["serviceName"],
            service["serviceArn"],
            None if deleted else configuration,
        )

    def _record(
        self,
        account: str,
        region: str,
        kind: str,
        resource_id: str,
        name: str,
        arn: str,
        configuration: dict[str, Any] | None,
    ) -> None:
        if not self._is_recorded(account, region, kind):
            return
        now = self._world.clock.now()
        lag = self._world.faults.recording_lags.get((account, region), self._world.behaviour.recording_lag)
        item: dict[str, Any] = {
            "version": "1.3",
            "accountId": account,
            "awsRegion": region,
            "arn": arn,
            "resourceType": kind,
            "resourceId": resource_id,
            "resourceName": name,
            "configurationItemStatus": "OK" if configuration is not None else "ResourceDeleted",
            "configurationItemCaptureTime": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "configurationStateId": str(int(now.timestamp() * 1000)),
            "tags": [],
            "relationships": [],
            "supplementaryConfiguration": {},
            "configuration": configuration,
        }
        versions = self._history.setdefault((account, region, kind, resource_id), [])
        versions.append(_Version(now + lag, item if configuration is not None else None))
        self._world.agenda.at(now + lag, lambda: self._notify(account, region, item))

    def _is_recorded(self, account: str, region: str, kind: str) -> bool:
        for recorder in config_backends[account][region].recorders.values():
            group = recorder.recording_group
            if kind == RECORDER:  # recorded in any case
                return True
            if not recorder.status.recording:
                continue
            excluded = (group.exclusion_by_resource_types or {}).get("resourceTypes", [])
            strategy = (group.recording_strategy or {}).get("useOnly")
            if strategy == "EXCLUSION_BY_RESOURCE_TYPES":
                return kind not in excluded
            return bool(group.all_supported or kind in (group.resource_types or []))
        return False

    def _notify(self, account: str, region: str, item: dict[str, Any]) -> None:
        """The change event: https://docs.aws.amazon.com/config/latest/developerguide/monitor-config-with-cloudwatchevents.html."""
        event_item = {**item, "awsAccountId": account, "ARN": item["arn"], "configurationItemVersion": "1.3"}
        for name in ("accountId", "arn", "version"):
            del event_item[name]
        detail = {
            "recordVersion": "1.3",
            "messageType": "ConfigurationItemChangeNotification",
            "configurationItemDiff": {"changedProperties": {}, "changeType": "UPDATE"},
            "notificationCreationTime": item["configurationItemCaptureTime"],
            "configurationItem": event_item,
        }
        if len(json.dumps(detail).encode()) > _MAX_EVENT - 1024:
            summary = {k: v for k, v in event_item.items() if k not in ("configuration", "relationships", "tags")}
            detail = {
                "recordVersion": "1.0",
                "messageType": "OversizedConfigurationItemChangeNotification",
                "notificationCreationTime": item["configurationItemCaptureTime"],
                "configurationItemSummary": {**summary, "changeType": "UPDATE"},
                "s3DeliverySummary": {"s3BucketLocation": None, "errorCode": None, "errorMessage": None},
            }
        self._events.emit(account, region, "aws.config", "Config Configuration Item Change", detail, [item["arn"]])

    # Recorders

    def _put_recorder(self, original: Callable[..., None]) -> Callable[..., None]:
        def put_configuration_recorder(backend: ConfigBackend, config_recorder: dict[str, Any]) -> None:
            # https://docs.aws.amazon.com/config/latest/developerguide/iamrole-permissions.html
            source = f"arn:aws:config:{backend.region_name}:{backend.account_id}:*"
            context = {"aws:SourceAccount": backend.account_id, "aws:SourceArn": source}
            try:
                self._world.identity.assume_as_service(
                    str(config_recorder.get("roleARN")), "config.amazonaws.com", context, "AWSConfig"
                )
            except (RoleError, IndexError) as error:
                raise JsonRESTError("InvalidRoleException", "You have provided a null or empty IAM role.") from error
            original(backend, config_recorder)
            recorder: Any = backend.recorders[config_recorder["name"]]
            recorder.recording_mode = config_recorder.get("recordingMode", {"recordingFrequency": "CONTINUOUS"})
            self._record_recorder(backend, config_recorder["name"])

        return put_configuration_recorder

    def _start_recorder(self, original: Callable[..., None]) -> Callable[..., None]:
        def start_configuration_recorder(backend: ConfigBackend, recorder_name: str) -> None:
            original(backend, recorder_name)
            self._record_recorder(backend, recorder_name)
            self._discover(backend)

        return start_configuration_recorder

    def _stop_recorder(self, original: Callable[..., None]) -> Callable[..., None]:
        def stop_configuration_recorder(backend: ConfigBackend, recorder_name: str) -> None:
            original(backend, recorder_name)
            if self._world.behaviour.records_stopping_of_recorder:
                self._record_recorder(backend, recorder_name)

        return stop_configuration_recorder

    def _delete_recorder(self, original: Callable[..., None]) -> Callable[..., None]:
        def delete_configuration_recorder(backend: ConfigBackend, recorder_name: str) -> None:
            original(backend, recorder_name)
            account, region = backend.account_id, backend.region_name
            # Config keeps what it recorded, but the aggregator no longer shows it.
            for key in [key for key in self._history if key[:2] == (account, region)]:
                self._history[key].append(_Version(self._world.clock.now(), None))

        return delete_configuration_recorder

    def _record_recorder(self, backend: ConfigBackend, name: str) -> None:
        recorder: Any = backend.recorders[name]
        account, region = backend.account_id, backend.region_name
        group = recorder.recording_group
        exclusion = group.exclusion_by_resource_types or {}
        configuration = {
            "Name": name,
            "RoleARN": recorder.role_arn,
            "Recording": bool(recorder.status.recording),
            "RecordingGroup": {
                "AllSupported": bool(group.all_supported),
                "IncludeGlobalResourceTypes": bool(group.include_global_resource_types),
                "ResourceTypes": list(group.resource_types or []),
                "ExclusionByResourceTypes": {"ResourceTypes": list(exclusion.get("resourceTypes", []))},
                "RecordingStrategy": {"UseOnly": (group.recording_strategy or {}).get("useOnly")},
            },
            "RecordingMode": {
                "RecordingFrequency": recorder.recording_mode.get("recordingFrequency", "CONTINUOUS"),
                "RecordingModeOverrides": [
                    _pascal_case(override) for override in recorder.recording_mode.get("recordingModeOverrides", [])
                ],
            },
        }
        arn = f"arn:aws:config:{region}:{account}:configuration-recorder/{name}"
        self._record(account, region, RECORDER, name, name, arn, configuration)

    def _discover(self, backend: ConfigBackend) -> None:
        """A recorder that starts records what exists, of task definitions those that are ACTIVE."""
        account, region = backend.account_id, backend.region_name
        ecs = ecs_backends[account][region]
        for revisions in list(ecs.task_definitions.values()):
            for definition in list(revisions.values()):
                if definition.status == "ACTIVE":
                    described = {
                        "taskDefinitionArn": definition.arn,
                        "family": definition.family,
                        "revision": definition.revision,
                        "status": definition.status,
                        "containerDefinitions": definition.container_definitions,
                    }
                    self._record_task_definition(account, region, described)
        for service in list(ecs.services.values()):
            described = {
                "serviceArn": service.arn,
                "serviceName": service.name,
                "clusterArn": service.cluster_arn,
                "taskDefinition": service.task_definition,
                "desiredCount": service.desired_count,
                "launchType": service.launch_type,
            }
            self._record_service(account, region, described, deleted=False)

    # Aggregator

    def _sources(self, backend: ConfigBackend, aggregator: ConfigAggregator) -> Iterator[tuple[str, str, str]]:
        """The account, region and type of every source, authorized or not."""
        if aggregator.organization_aggregation_source:
            source = aggregator.organization_aggregation_source
            for account in self._world.identity.accounts:
                for region in self._regions(source.aws_regions):
                    yield account, region, "ORGANIZATION"
        for accounts in aggregator.account_aggregation_sources or []:
            for account in accounts.account_ids:
                for region in self._regions(accounts.aws_regions):
                    yield account, region, "ACCOUNT"

    def _regions(self, regions: list[str] | None) -> list[str]:
        if regions:
            return list(regions)
        return sorted({region for _, region, _, _ in self._history})

    def _status(self, backend: ConfigBackend, account: str, region: str, kind: str) -> tuple[str, str | None]:
        """The last update's status and error code."""
        fault = self._world.faults.sources.get((account, region))
        if fault:
            return fault.status, "InternalError"
        if kind == "ACCOUNT":
            authorizations = config_backends[account][region].aggregation_authorizations
            if f"{backend.account_id}/{backend.region_name}" not in authorizations:
                return "FAILED", "AccessDenied"
        elif not self._world.identity.sees_organization(backend.account_id):
            return "FAILED", "OrganizationAccessDenied"
        return "SUCCEEDED", None

    def _items(self, backend: ConfigBackend, aggregator: ConfigAggregator) -> list[dict[str, Any]]:
        shown_until: dict[tuple[str, str], datetime] = {}
        for account, region, kind in self._sources(backend, aggregator):
            _, error = self._status(backend, account, region, kind)
            fault = self._world.faults.sources.get((account, region))
            if (account, region) not in self._world.faults.hidden_sources and (fault or not error):
                shown_until[account, region] = fault.since if fault else self._world.clock.now()
        items = []
        for (account, region, _, _), versions in self._history.items():
            until = shown_until.get((account, region))
            visible = [each for each in versions if until is not None and each.visible_from <= until]
            if visible and (item := max(visible, key=lambda each: each.visible_from).item):
                items.append(item)
        return items

    def _select_request(self) -> Callable[[ConfigResponse], str]:
        def select_aggregate_resource_config(response: ConfigResponse) -> str:
            params = json.loads(response.body)
            backend = response.config_backend
            aggregator = _aggregator(backend, params)
            try:
                query = advanced_query.parse(params["Expression"])
                results, token = self._page(
                    params,
                    _AGGREGATE_PAGE if query.is_aggregation else _PAGE,
                    lambda: advanced_query.run(query, self._items(backend, aggregator)),
                )
            except advanced_query.InvalidExpression as error:
                raise JsonRESTError("InvalidExpressionException", str(error)) from error
            fields = [{"Name": name} for name in query.fields]
            answer = {"Results": results, "QueryInfo": {"SelectFields": fields}, "NextToken": token}
            return json.dumps(_without_none(answer))

        return select_aggregate_resource_config

    def _sources_status_request(self) -> Callable[[ConfigResponse], str]:
        def describe_configuration_aggregator_sources_status(response: ConfigResponse) -> str:
            params = json.loads(response.body)
            backend = response.config_backend
            aggregator = _aggregator(backend, params)
            wanted = params.get("UpdateStatus") or ["SUCCEEDED", "FAILED", "OUTDATED"]

            def statuses() -> list[dict[str, Any]]:
                found = []
                for account, region, kind in self._sources(backend, aggregator):
                    status, error = self._status(backend, account, region, kind)
                    if status in wanted:
                        found.append(
                            _without_none(
                                {
                                    "SourceId": account,
                                    "SourceType": kind,
                                    "AwsRegion": region,
                                    "LastUpdateStatus": status,
                                    "LastUpdateTime": self._world.clock.now().timestamp(),
                                    "LastErrorCode": error,
                                }
                            )
                        )
                return found

            page, token = self._page(params, _STATUS_PAGE, statuses)
            return json.dumps(_without_none({"AggregatedSourceStatusList": page, "NextToken": token}))

        return describe_configuration_aggregator_sources_status

    def _page(
        self, params: dict[str, Any], default: int, read: Callable[[], list[Any]]
    ) -> tuple[list[Any], str | None]:
        limit = params.get("Limit") or 0
        if not 0 <= limit <= _MAX_LIMIT:
            raise JsonRESTError("InvalidLimitException", "The limit must be between 0 and 100.")
        token = params.get("NextToken")
        if token is not None and token not in self._pages:
            raise JsonRESTError("InvalidNextTokenException", "The nextToken provided is invalid")
        rest = read() if token is None else self._pages[token]
        size = limit or default
        if len(rest) <= size:
            return rest, None
        next_token = str(uuid4())
        self._pages[next_token] = rest[size:]
        return rest[:size], next_token


def _aggregator(backend: ConfigBackend, params: dict[str, Any]) -> ConfigAggregator:
    aggregator = backend.config_aggregators.get(params["ConfigurationAggregatorName"])
    if aggregator is None:
        raise JsonRESTError("NoSuchConfigurationAggregatorException", "The configuration aggregator does not exist.")
    return aggregator


def _pascal_case(value: Any) -> Any:
    """The names of an ECS answer as the CloudFormation schema writes them."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: _pascal_case(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_pascal_case(entry) for entry in value]
    return value


def _without_none(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if value is not None}
