"""`pending`: the checks that are scheduled."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ecr_cleanup.check import Check
from ecr_cleanup.cli import clock
from ecr_cleanup.cli.failures import AwsError
from ecr_cleanup.errors import CheckError
from ecr_cleanup.report import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.cli.output import Printer, Steps
    from ecr_cleanup.image import ImageId

# All else in the group goes on with sweeps, or begins them.
_NAME_OF_CHECK = re.compile(r"[0-9a-f]{64}")
_FORMAT = "at(%Y-%m-%dT%H:%M:%S)"
_PARALLEL_CALLS = 8


@dataclass(frozen=True, slots=True)
class PendingCheck:
    """A check and when it is due. `check` is None where its schedule holds none that can be read."""

    name: str
    due_at: datetime | None
    check: Check | None


def pending_check(installation: Installation, image_id: ImageId) -> PendingCheck | None:
    """The check of one image, if one is scheduled."""
    return _read(installation, Check(image_id, "").schedule_name)


def pending_checks(installation: Installation, steps: Steps) -> list[PendingCheck]:
    """All checks, those that are due first first.

    Raises:
        AwsError: there is no such group of schedules, or AWS cannot be asked.
    """
    names = [name for name in schedule_names(installation) if _NAME_OF_CHECK.fullmatch(name)]
    found = []
    with steps.step("Schedules", len(names)) as step, ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
        for each in pool.map(lambda name: _read(installation, name), names):
            step.advance()
            # What fired meanwhile is not pending any more.
            if each:
                found.append(each)
    return sorted(found, key=lambda each: (each.due_at or datetime.max.replace(tzinfo=UTC), each.name))


def schedule_names(installation: Installation) -> list[str]:
    """The names of all schedules of the group."""
    return [schedule["Name"] for schedule in schedules(installation)]


def schedules(installation: Installation) -> list[dict[str, Any]]:
    """All schedules of the group, as EventBridge Scheduler lists them.

    Raises:
        AwsError: there is no such group.
    """
    group = installation.settings.schedule_group_name
    client = installation.session.client("scheduler")
    try:
        pages = client.get_paginator("list_schedules").paginate(GroupName=group)
        return [schedule for page in pages for schedule in page["Schedules"]]
    except client.exceptions.ResourceNotFoundException:
        raise AwsError(
            f"there is no schedule group {group}: check --region, and apply the module shared_account"
        ) from None


def _read(installation: Installation, name: str) -> PendingCheck | None:
    client = installation.session.client("scheduler")
    try:
        schedule = client.get_schedule(GroupName=installation.settings.schedule_group_name, Name=name)
    except client.exceptions.ResourceNotFoundException:
        return None
    try:
        due_at = datetime.strptime(schedule["ScheduleExpression"], _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        due_at = None
    try:
        check = Check.from_json(schedule["Target"].get("Input", ""))
    except CheckError:
        check = None
    return PendingCheck(name, due_at, check)


def as_json(installation: Installation, checks: Sequence[PendingCheck]) -> str:
    """The format of docs/pending.schema.json."""
    document = {
        "version": 1,
        "generated_at": iso(clock.now()),
        "installation": installation.name,
        "checks": [
            {
                "due_at": iso(each.due_at),
                "image": str(each.check.image_id) if each.check else None,
                "cause": each.check.cause if each.check else None,
                "attempt": each.check.attempt if each.check else None,
                "schedule": each.name,
            }
            for each in checks
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def show(checks: Sequence[PendingCheck], printer: Printer) -> None:
    """Print them for people."""
    if not checks:
        printer.line("No check is pending.")
        return
    now, rows = clock.now(), []
    for each in checks:
        due = "-" if each.due_at is None else f"{iso(each.due_at)}{'' if each.due_at > now else ' (due)'}"
        if each.check is None:
            rows.append([due, "-", "-", f"the schedule {each.name} holds no check that can be read"])
            continue
        image_id, attempt = each.check.image_id, f" (attempt {each.check.attempt + 1})" if each.check.attempt else ""
        repository = image_id.repository
        rows.append(
            [
                due,
                f"{repository.region}/{repository.name}",
                printer.digest(image_id.digest),
                f"{each.check.cause}{attempt}",
            ]
        )
    printer.table(["Due", "Repository", "Digest", "Cause"], rows)
    printer.line()
    printer.line("1 check is pending." if len(checks) == 1 else f"{len(checks)} checks are pending.")
