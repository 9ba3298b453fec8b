"""Rules of EventBridge and schedules of EventBridge Scheduler that start ECS tasks of a certain revision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ecr_cleanup.inventory import Findings, Source, Usage
from ecr_cleanup.readers.session import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_scheduler.type_defs import ScheduleSummaryTypeDef

    from ecr_cleanup.readers.session import PlaceSession

# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
_RUN_TASK = ":::aws-sdk:ecs:runTask"


def read_scheduled_tasks(session: PlaceSession) -> Findings:
    """What they start, unless that counts already. One without a revision means the latest ACTIVE one, which does.

    Where only the newest revisions count, one that is ACTIVE in the aggregator may count for this alone.

    Nothing can be started where there is no cluster. Rules are asked for by the clusters that they start tasks in
    (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ListRuleNamesByTarget.html).
    """
    if not session.cluster_arns:
        return Findings()
    counted = session.shown if session.settings.newest_revisions is None else {}
    usages = [
        Usage(kind, arn, session.place, image, Source.LIVE, task_definition=definition)
        for kind, arn, definition in {*_rules(session), *_schedules(session)}
        if definition not in counted and ":" in definition.rpartition("/")[2]
        for image in session.images_of(definition) or ()
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
    for page in pages_of(session.events.list_event_buses, "NextToken", Limit=100):
        yield from (bus["Name"] for bus in page["EventBuses"])


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
        for page in pages:
            yield from _of_page(session, group, [each for each in page["Schedules"] if _runs_tasks(each)])


def _of_page(
    session: PlaceSession, group: str, schedules: Iterable[ScheduleSummaryTypeDef]
) -> Iterator[tuple[str, str, str]]:
    """What these schedules start. As long as one is not modified, it is asked for once, as there can be very many."""
    names = {each["Name"]: f"{each.get('Arn')}#{each['LastModificationDate']}" for each in schedules if _is_dated(each)}
    remembered = session.memory.remembered_images(names.values()) if names else {}
    for schedule in schedules:
        name = schedule["Name"]
        definitions = remembered.get(names.get(name, ""))
        if definitions is None:
            definitions = _started_by(session, group, name)
            if definitions and name in names:
                session.memory.remember_images(names[name], definitions)
        arn = schedule.get("Arn") or f"{group}/{name}"
        yield from (("schedule", arn, definition) for definition in definitions)


def _started_by(session: PlaceSession, group: str, name: str) -> frozenset[str]:
    try:
        target = session.scheduler.get_schedule(Name=name, GroupName=group)["Target"]
    except session.scheduler.exceptions.ResourceNotFoundException:
        return frozenset()  # it fired, or was deleted meanwhile
    own = target.get("EcsParameters", {}).get("TaskDefinitionArn")
    definition = own or _task_definition_in(target.get("Input", ""))
    return frozenset([definition] if definition else [])


def _runs_tasks(schedule: ScheduleSummaryTypeDef) -> bool:
    target_arn = schedule.get("Target", {}).get("Arn", "")
    return ":cluster/" in target_arn or target_arn.endswith(_RUN_TASK)


def _is_dated(schedule: ScheduleSummaryTypeDef) -> bool:
    return "Arn" in schedule and "LastModificationDate" in schedule


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
    if not isinstance(parameters, dict):
        return None
    definition = parameters.get("TaskDefinition") or parameters.get("taskDefinition")
    return definition if isinstance(definition, str) else None
