"""Rules of EventBridge and schedules of EventBridge Scheduler that start ECS tasks of a certain revision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ecr_cleanup.inventory import Findings, Source, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_events.type_defs import ListEventBusesRequestTypeDef

    from ecr_cleanup.readers.session import PlaceSession

# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
_RUN_TASK = ":::aws-sdk:ecs:runTask"


def read_scheduled_tasks(session: PlaceSession) -> Findings:
    """What they start, unless it is ACTIVE in the aggregator. One without a revision means the latest ACTIVE one.

    Nothing can be started where there is no cluster. Rules are asked for by the clusters that they start tasks in
    (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ListRuleNamesByTarget.html).
    """
    if not session.cluster_arns:
        return Findings()
    usages = [
        Usage(kind, arn, session.place, image, Source.LIVE, task_definition=definition)
        for kind, arn, definition in {*_rules(session), *_schedules(session)}
        if definition not in session.shown and ":" in definition.rpartition("/")[2]
        for image in session.images_of(definition) or ()
        if session.is_of_interest(image)
    ]
    return Findings(tuple(sorted(usages, key=lambda usage: (usage.arn, usage.reference))))


def _rules(session: PlaceSession) -> Iterator[tuple[str, str, str]]:
    events, place = session.events, session.place
    for bus in _event_buses(session):
        names = sorted(
            {
                name
                for cluster in session.cluster_arns
                for answer in events.get_paginator("list_rule_names_by_target").paginate(
                    TargetArn=cluster, EventBusName=bus, PaginationConfig={"PageSize": 100}
                )
                for name in answer["RuleNames"]
            }
        )
        for name in names:
            path = name if bus == "default" else f"{bus}/{name}"
            partition = session.cluster_arns[0].split(":")[1]
            arn = f"arn:{partition}:events:{place.region}:{place.account}:rule/{path}"
            pages = events.get_paginator("list_targets_by_rule").paginate(
                Rule=name, EventBusName=bus, PaginationConfig={"PageSize": 100}
            )
            for target in (target for each in pages for target in each["Targets"]):
                if "EcsParameters" in target:
                    yield "EventBridge rule", arn, target["EcsParameters"]["TaskDefinitionArn"]


def _event_buses(session: PlaceSession) -> Iterator[str]:
    request: ListEventBusesRequestTypeDef = {"Limit": 100}
    while True:
        answer = session.events.list_event_buses(**request)
        yield from (bus["Name"] for bus in answer["EventBuses"])
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]


def _schedules(session: PlaceSession) -> Iterator[tuple[str, str, str]]:
    scheduler = session.scheduler
    groups = [
        group["Name"]
        for page in scheduler.get_paginator("list_schedule_groups").paginate(PaginationConfig={"PageSize": 100})
        for group in page["ScheduleGroups"]
    ]
    for group in groups:
        if _is_own_group(session, group):
            continue
        pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group, PaginationConfig={"PageSize": 100})
        for summary in (summary for page in pages for summary in page["Schedules"]):
            target_arn = summary.get("Target", {}).get("Arn", "")
            if ":cluster/" not in target_arn and not target_arn.endswith(_RUN_TASK):
                continue
            try:
                schedule = scheduler.get_schedule(Name=summary["Name"], GroupName=group)
            except scheduler.exceptions.ResourceNotFoundException:
                continue  # it fired, or was deleted meanwhile
            target = schedule["Target"]
            own = target.get("EcsParameters", {}).get("TaskDefinitionArn")
            if definition := own or _task_definition_in(target.get("Input", "")):
                yield "schedule", schedule["Arn"], definition


def _is_own_group(session: PlaceSession, group: str) -> bool:
    """Whether the schedules of a group are our own, of which there can be very many."""
    settings = session.settings
    own = settings.schedule_role_arn.split(":")[4] == session.place.account
    return own and group == settings.schedule_group_name


def _task_definition_in(payload: str) -> str | None:
    """The task definition in the parameters of RunTask, which nobody but Scheduler has checked."""
    try:
        parameters = json.loads(payload)
    except ValueError:
        return None
    definition = parameters.get("TaskDefinition") if isinstance(parameters, dict) else None
    return definition if isinstance(definition, str) else None
