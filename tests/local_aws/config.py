"""AWS Config: what recorders record of ECS and of what a test puts in, what the aggregator shows of it, and when.

An item is recorded where a recorder that records its type is running, and is seen in the aggregator after a lag, if the
source account authorized the aggregator (or is of its organization). What is recorded daily is seen as it is at
midnight UTC, after the same lag. Recorders, aggregators and authorizations themselves are moto's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from moto.config.models import ConfigAggregator, ConfigBackend, RecordingGroup, config_backends
from moto.config.responses import ConfigResponse
from moto.core.exceptions import JsonRESTError
from moto.ecs.models import ecs_backends

from local_aws import advanced_query
from local_aws.identity import RoleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from moto.ecs.models import Service, TaskDefinition

    from local_aws.eventbridge import EventBridge
    from local_aws.server import Exchange
    from local_aws.world import World

TASK_DEFINITION = "AWS::ECS::TaskDefinition"
SERVICE = "AWS::ECS::Service"
TASK_SET = "AWS::ECS::TaskSet"
RECORDER = "AWS::Config::ConfigurationRecorder"
_MAX_EVENT = 256 * 1024
_PAGE, _AGGREGATE_PAGE, _STATUS_PAGE = 25, 500, 100
_MAX_LIMIT = 100
_PENDING_SECONDS = 60


@dataclass(frozen=True)
class _Version:
    """One state of a resource, from the moment the aggregator shows it; None once there is no recorder for it."""

    visible_from: datetime
    item: dict[str, Any] | None


_Key = tuple[str, str, str, str]


class Config:
    """The recorders and aggregators of all accounts."""

    def __init__(self, world: World, events: EventBridge) -> None:
        self._world = world
        self._events = events
        self._history: dict[_Key, list[_Version]] = {}
        self._resources: dict[_Key, tuple[str, dict[str, Any]]] = {}
        # What a token goes on with: all entries, and the position of the next one.
        self._pages: dict[str, tuple[list[Any], int]] = {}
        patches = world.patches
        patches.wrap(ConfigBackend, "put_configuration_recorder", self._put_recorder)
        patches.wrap(ConfigBackend, "start_configuration_recorder", self._start_recorder)
        patches.wrap(ConfigBackend, "stop_configuration_recorder", self._stop_recorder)
        patches.wrap(ConfigBackend, "delete_configuration_recorder", self._delete_recorder)
        patches.wrap(ConfigBackend, "describe_configuration_recorder_status", self._recorder_status)
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
            self._record_service(exchange.account, api.region, exchange.answer["service"]["serviceArn"])
        if api.operation in ("CreateTaskSet", "UpdateTaskSet", "DeleteTaskSet", "UpdateServicePrimaryTaskSet"):
            task_set = exchange.answer["taskSet"]
            deleted = api.operation == "DeleteTaskSet"
            self._record_task_set(exchange.account, api.region, task_set, deleted=deleted)
            if api.operation == "UpdateServicePrimaryTaskSet":
                self._record_service(exchange.account, api.region, task_set["serviceArn"])

    def record_resource(
        self, account: str, region: str, resource_type: str, name: str, configuration: dict[str, Any]
    ) -> str:
        """Create or change a resource of a type that is not emulated; gives its ARN."""
        _, service, kind = resource_type.split("::")
        arn = f"arn:aws:{service.lower()}:{region}:{account}:{kind.lower()}/{name}"
        self._resources[account, region, resource_type, name] = arn, configuration
        self._record(account, region, resource_type, arn, name, arn, configuration)
        return arn

    def delete_resource(self, account: str, region: str, resource_type: str, name: str) -> None:
        """Delete what `record_resource` created."""
        arn, _ = self._resources.pop((account, region, resource_type, name))
        self._record(account, region, resource_type, arn, name, arn, None)

    def record_service(self, account: str, region: str, arn: str) -> None:
        """Record a service of ECS that changed by itself."""
        self._record_service(account, region, arn)

    def register_many(self, account: str, region: str, definitions: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
        """Register task definitions past the API of ECS; see `LocalAws.register_many`."""
        ecs = ecs_backends[account][region]
        arns = []
        for family, images in definitions:
            containers = [{"name": f"c{number}", "image": image, "memory": 128} for number, image in enumerate(images)]
            definition = ecs.register_task_definition(family=family, container_definitions=containers)
            self._record_task_definition(account, region, _described(definition), long_ago=True)
            arns.append(definition.arn)
        return arns

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
        # One that is deleted is not among them any more.
        return bool(definition["revision"] >= max(revisions.get(definition["family"], {}), default=0))

    def _record_task_definition(
        self, account: str, region: str, definition: dict[str, Any], *, long_ago: bool = False
    ) -> None:
        name = f"{definition['family']}:{definition['revision']}"
        configuration = _pascal_case(definition)
        # Config follows the CloudFormation schema, which has no revision of its own.
        configuration.pop("Revision", None)
        arn = definition["taskDefinitionArn"]
        self._record(account, region, TASK_DEFINITION, name, name, arn, configuration, long_ago=long_ago)

    def _record_service(self, account: str, region: str, arn: str) -> None:
        services = ecs_backends[account][region].services.values()
        service: Service = next(each for each in services if each.arn == arn)
        configuration = {
            "ServiceArn": arn,
            "ServiceName": service.name,
            "Cluster": service.cluster_arn,
            "TaskDefinition": service.task_definition,
            "DesiredCount": service.desired_count,
            "LaunchType": service.launch_type,
        }
        deleted = service.status != "ACTIVE"
        self._record(
            account, region, SERVICE, arn, service.name, arn, None if deleted else _without_none(configuration)
        )
        if deleted:
            self._record_end_of_task_sets(account, region, arn)

    def _record_task_set(self, account: str, region: str, task_set: dict[str, Any], *, deleted: bool = False) -> None:
        arn = task_set["taskSetArn"]
        configuration = {
            "Id": arn.rpartition("/")[2],
            "Cluster": task_set["clusterArn"],
            "Service": task_set["serviceArn"],
            "TaskDefinition": task_set["taskDefinition"],
            "ExternalId": task_set.get("externalId"),
            "LaunchType": task_set.get("launchType"),
            "Scale": _pascal_case(task_set["scale"]),
        }
        shown = None if deleted else _without_none(configuration)
        self._record(account, region, TASK_SET, arn, configuration["Id"], arn, shown)

    def _record_end_of_task_sets(self, account: str, region: str, service_arn: str) -> None:
        """A service that is deleted by force takes its task sets along."""
        prefix = service_arn.replace(":service/", ":task-set/") + "/"
        for key, versions in list(self._history.items()):
            if key[:3] == (account, region, TASK_SET) and key[3].startswith(prefix) and _exists(versions[-1]):
                self._record(account, region, TASK_SET, key[3], key[3].rpartition("/")[2], key[3], None)

    def _record(
        self,
        account: str,
        region: str,
        kind: str,
        resource_id: str,
        name: str,
        arn: str,
        configuration: dict[str, Any] | None,
        *,
        long_ago: bool = False,
    ) -> None:
        """Record a state of a resource; what is from `long_ago` is seen at once, and nobody is notified."""
        frequency = self._frequency(account, region, kind)
        if frequency is None:
            return
        now = self._world.clock.now()
        visible_from = now if frequency == "CONTINUOUS" else _next_midnight(now)
        visible_from += self._world.faults.recording_lags.get((account, region), self._world.behaviour.recording_lag)
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
        if long_ago:
            versions.append(_Version(now, item))
            return
        if frequency == "DAILY" and versions and versions[-1].visible_from == visible_from:
            # Only the last state of a day is recorded; its notification is on the agenda already.
            versions[-1] = _Version(visible_from, item)
            return
        position = len(versions)
        versions.append(_Version(visible_from, item))
        self._world.agenda.at(visible_from, lambda: self._notify(account, region, versions[position].item or item))

    def _frequency(self, account: str, region: str, kind: str) -> str | None:
        """How often a type is recorded, CONTINUOUS or DAILY; None if it is not."""
        for recorder in config_backends[account][region].recorders.values():
            if kind == RECORDER:  # recorded in any case
                return "CONTINUOUS"
            if recorder.status.recording and _covers(recorder.recording_group, kind):
                return _frequency(cast("Any", recorder).recording_mode, kind)
        return None

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

    def _recorder_status(self, original: Callable[..., list[dict[str, Any]]]) -> Callable[..., list[dict[str, Any]]]:
        def describe_configuration_recorder_status(
            backend: ConfigBackend, recorder_names: list[str] | None
        ) -> list[dict[str, Any]]:
            statuses = original(backend, recorder_names)
            now = self._world.clock.now().timestamp()
            for status in statuses:
                # moto leaves it PENDING for good.
                if status.get("lastStatus") == "PENDING" and now - status["lastStartTime"] >= _PENDING_SECONDS:
                    status["lastStatus"] = "SUCCESS"
            return statuses

        return describe_configuration_recorder_status

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
                    self._record_task_definition(account, region, _described(definition))
        for service in list(ecs.services.values()):
            if service.status == "ACTIVE":
                self._record_service(account, region, service.arn)
            for task_set in service.task_sets:
                described = {
                    "taskSetArn": task_set.task_set_arn,
                    "clusterArn": task_set.cluster_arn,
                    "serviceArn": task_set.service_arn,
                    "taskDefinition": task_set.task_definition,
                    "externalId": task_set.external_id,
                    "launchType": task_set.launch_type,
                    "scale": task_set.scale,
                }
                self._record_task_set(account, region, described)
        for (owner, place, kind, name), (arn, configuration) in list(self._resources.items()):
            if (owner, place) == (account, region):
                self._record(account, region, kind, arn, name, arn, configuration)

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

    def _stated(
        self, backend: ConfigBackend, aggregator: ConfigAggregator
    ) -> Iterator[tuple[str, str, str, str, str | None]]:
        """Each source, with its account or organization, region, type, status and error code."""
        organization: dict[str, tuple[str, str | None]] = {}
        for account, region, kind in self._sources(backend, aggregator):
            state = self._status(backend, account, region, kind)
            if kind == "ACCOUNT" or self._world.behaviour.lists_accounts_of_organization:
                yield account, region, kind, *state
            elif region not in organization or state[0] != "SUCCEEDED":
                organization[region] = state
        for region, state in organization.items():
            yield self._world.organization_id, region, "ORGANIZATION", *state

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
            # The latest state, even if an earlier one took longer to arrive.
            if visible and (item := visible[-1].item):
                items.append(item)
        return items

    def _select_request(self) -> Callable[[ConfigResponse], str]:
        def select_aggregate_resource_config(response: ConfigResponse) -> str:
            params = json.loads(response.body)
            backend = response.config_backend
            aggregator = _aggregator(backend, params)
            try:
                query = advanced_query.parse(params["Expression"])
                rows, token = self._page(
                    params,
                    _AGGREGATE_PAGE if query.is_aggregation else _PAGE,
                    lambda: advanced_query.find(query, self._items(backend, aggregator)),
                )
            except advanced_query.InvalidExpression as error:
                raise JsonRESTError("InvalidExpressionException", str(error)) from error
            fields = [{"Name": name} for name in query.fields]
            results = [row.to_json() for row in rows]
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
                for account, region, kind, status, error in self._stated(backend, aggregator):
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
        entries, begin = (read(), 0) if token is None else self._pages[token]
        end = begin + (limit or default)
        if len(entries) <= end:
            return entries[begin:], None
        next_token = str(uuid4())
        self._pages[next_token] = entries, end
        return entries[begin:end], next_token


def _described(definition: TaskDefinition) -> dict[str, Any]:
    """What ECS answers about a task definition, as far as anybody here looks at it."""
    return {
        "taskDefinitionArn": definition.arn,
        "family": definition.family,
        "revision": definition.revision,
        "status": definition.status,
        "containerDefinitions": definition.container_definitions,
    }


def _covers(group: RecordingGroup, kind: str) -> bool:
    excluded = (group.exclusion_by_resource_types or {}).get("resourceTypes", [])
    if (group.recording_strategy or {}).get("useOnly") == "EXCLUSION_BY_RESOURCE_TYPES":
        return kind not in excluded
    return bool(group.all_supported or kind in (group.resource_types or []))


def _frequency(mode: dict[str, Any], kind: str) -> str:
    for override in mode.get("recordingModeOverrides", []):
        if kind in override["resourceTypes"]:
            return str(override["recordingFrequency"])
    return str(mode.get("recordingFrequency", "CONTINUOUS"))


def _next_midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _exists(version: _Version) -> bool:
    return version.item is not None and version.item["configuration"] is not None


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
