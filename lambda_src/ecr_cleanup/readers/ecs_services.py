"""ECS: services with what their deployments resolved, task sets, and tasks.

ECS resolves the tags of a deployment when its first task starts, and pulls by digest from then on:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html#deployment-container-image-stability.
A service revision says to what; where it does not, its usages by tag may mean any image that the tag ever meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecr_cleanup.chunks import chunks
from ecr_cleanup.inventory import Findings, Source, TrustProblem, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_ecs.type_defs import ServiceRevisionTypeDef, ServiceTypeDef, TaskTypeDef

    from ecr_cleanup.readers.session import PlaceSession

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/, API_DescribeServices.html, API_DescribeTasks.html,
# API_DescribeServiceRevisions.html and API_DescribeServiceDeployments.html
_SERVICES_PER_CALL = 10
_TASKS_PER_CALL = 100
REVISIONS_PER_CALL = 20
# A task in one of these has stopped, or is about to: it pulls nothing any more.
_ENDING = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED")


@dataclass(frozen=True, slots=True)
class _Revision:
    """A service revision that is in use; `has_tasks` says whether any was wanted, so that its tags may be resolved."""

    service: str
    has_tasks: bool


def read_services_and_tasks(session: PlaceSession) -> Findings:
    """What services would start tasks from, and what tasks run, or ran within the hour that ECS shows them."""
    usages: list[Usage] = []
    revisions: dict[str, _Revision] = {}
    deployments: dict[str, str] = {}
    services: list[ServiceTypeDef] = []
    for cluster in session.cluster_arns:
        services += _services(session, cluster)
        for task in _tasks(session, cluster):
            usages += _usages_of_task(session, task)
    for service in services:
        arn = service["serviceArn"]
        for summary in service.get("currentServiceRevisions", ()):
            revisions[summary["arn"]] = _Revision(arn, _has_tasks(summary))
        if _may_be_in_progress(service):
            deployments[service["currentServiceDeployment"]] = arn
    revisions = dict(_of_deployments(session, deployments)) | revisions
    resolved: dict[str, set[str]] = {}
    for revision in _described(session, revisions):
        known = revisions[revision["serviceRevisionArn"]]
        resolved.setdefault(known.service, set()).add(revision.get("taskDefinition", ""))
        usages += _usages_of_revision(session, revision, known)
    problems = []
    for service in services:
        for kind, name, through in _without_revision(service, resolved.get(service["serviceArn"], set())):
            images = session.images_of(through)
            if images is None:
                problems.append(_nobody_knows(session, kind, name, through))
            usages += [_unresolved(kind, name, session, image, through) for image in images or ()]
    return Findings(tuple(usage for usage in usages if session.is_of_interest(usage.reference)), tuple(problems))


def images_in_use(
    session: PlaceSession, kind: str, arn: str, containers: Iterable[Mapping[str, Any]], *, pinned: bool, through: str
) -> Iterator[Usage]:
    """The usages of what a revision deploys: the digest that a tag was resolved to, and what the tag means now.

    The tag counts, too, since the next deployment resolves it anew. `pinned` says whether a tag without a digest may
    have been resolved all the same. `through` is the task definition.
    """
    for container in containers:
        image, digest = container.get("image"), container.get("imageDigest")
        if not image:
            continue
        unknown = pinned and not digest and "@" not in image
        if unknown and session.is_of_interest(image):
            unknown = not session.never_resolves(through, container.get("containerName", ""))
        yield Usage(
            kind, arn, session.place, image, Source.LIVE, task_definition=through or None, may_be_pinned=unknown
        )
        if digest and "@" not in image:
            reference = f"{image}@{digest}"
            yield Usage(kind, arn, session.place, reference, Source.LIVE, task_definition=through or None)


def _services(session: PlaceSession, cluster: str) -> Iterator[ServiceTypeDef]:
    pages = session.ecs.get_paginator("list_services").paginate(cluster=cluster, PaginationConfig={"PageSize": 100})
    arns = [arn for page in pages for arn in page["serviceArns"]]
    for some in chunks(arns, _SERVICES_PER_CALL):
        answer = session.ecs.describe_services(cluster=cluster, services=list(some))
        session.refuse_failures(answer["failures"], "ecs:DescribeServices")
        yield from answer["services"]


def _tasks(session: PlaceSession, cluster: str) -> Iterator[TaskTypeDef]:
    """Those that are wanted, whether they run yet or not, and those that have stopped."""
    lists = session.ecs.get_paginator("list_tasks")
    arns = {
        arn: None
        for status in ("RUNNING", "STOPPED")
        for page in lists.paginate(
            cluster=cluster,
            desiredStatus=status,
            PaginationConfig={"PageSize": 100},
        )
        for arn in page["taskArns"]
    }
    for some in chunks(list(arns), _TASKS_PER_CALL):
        answer = session.ecs.describe_tasks(cluster=cluster, tasks=list(some))
        session.refuse_failures(answer["failures"], "ecs:DescribeTasks")
        yield from answer["tasks"]


def _usages_of_task(session: PlaceSession, task: TaskTypeDef) -> Iterator[Usage]:
    """What a task runs. Once its image is known, its tag does not count: it pulls when it starts, and then no more."""
    ends = task.get("lastStatus") in _ENDING
    for container in task.get("containers", ()):
        image, digest = container.get("image"), container.get("imageDigest")
        if not image or (ends and not digest):
            continue
        yield Usage(
            "task",
            task["taskArn"],
            session.place,
            f"{image}@{digest}" if digest and "@" not in image else image,
            Source.LIVE,
            task_definition=task.get("taskDefinitionArn"),
            may_be_pinned=not digest and "@" not in image,
        )


def _may_be_in_progress(service: ServiceTypeDef) -> bool:
    """Whether a deployment may still go on, or back to where it came from."""
    states = [deployment.get("rolloutState") for deployment in service.get("deployments", ())]
    return "currentServiceDeployment" in service and states != ["COMPLETED"]


def _of_deployments(session: PlaceSession, deployments: Mapping[str, str]) -> Iterator[tuple[str, _Revision]]:
    """The revisions between which services move: any of them may have to run again."""
    for some in chunks(sorted(deployments), REVISIONS_PER_CALL):
        answer = session.ecs.describe_service_deployments(serviceDeploymentArns=list(some))
        session.refuse_failures(answer.get("failures", ()), "ecs:DescribeServiceDeployments")
        for deployment in answer.get("serviceDeployments", ()):
            service = deployment.get("serviceArn", "")
            if target := deployment.get("targetServiceRevision"):
                yield target["arn"], _Revision(service, _has_tasks(target))
            if deployment.get("status") == "SUCCESSFUL":
                continue
            for source in deployment.get("sourceServiceRevisions", ()):
                yield source["arn"], _Revision(service, has_tasks=True)
            if back := deployment.get("rollback", {}).get("serviceRevisionArn"):
                yield back, _Revision(service, has_tasks=True)


def _described(session: PlaceSession, revisions: Mapping[str, _Revision]) -> Iterator[ServiceRevisionTypeDef]:
    for some in chunks(sorted(revisions), REVISIONS_PER_CALL):
        answer = session.ecs.describe_service_revisions(serviceRevisionArns=list(some))
        session.refuse_failures(answer.get("failures", ()), "ecs:DescribeServiceRevisions")
        yield from answer.get("serviceRevisions", ())


def _has_tasks(summary: Mapping[str, Any]) -> bool:
    return any(summary.get(f"{which}TaskCount", 0) for which in ("requested", "running", "pending"))


def _usages_of_revision(session: PlaceSession, revision: ServiceRevisionTypeDef, known: _Revision) -> Iterator[Usage]:
    through = revision.get("taskDefinition", "")
    containers = revision.get("containerImages", ())
    yield from images_in_use(session, "service", known.service, containers, pinned=known.has_tasks, through=through)
    # ECS may render `repository:tag` as `repository:tag@sha256:...`.
    named = {container.get("image", "").partition("@")[0] for container in containers}
    for image in session.images_of(through) or () if through else ():
        if image.partition("@")[0] not in named:
            yield _unresolved("service", known.service, session, image, through)
        elif "@" not in image:
            yield Usage("service", known.service, session.place, image, Source.LIVE, task_definition=through)


def _without_revision(service: ServiceTypeDef, resolved: set[str]) -> list[tuple[str, str, str]]:
    """What a service has task definitions for and says no revision of: task sets, and deployments of former times."""
    arn = service["serviceArn"]
    others = {("service", arn, each.get("taskDefinition", "")) for each in service.get("deployments", ())}
    others.add(("service", arn, service.get("taskDefinition", "")))
    others = {each for each in others if each[2] not in resolved}
    others |= {("task set", each["taskSetArn"], each.get("taskDefinition", "")) for each in service.get("taskSets", ())}
    return sorted(each for each in others if each[2])


def _nobody_knows(session: PlaceSession, kind: str, arn: str, through: str) -> TrustProblem:
    return TrustProblem(
        session.place,
        f"{kind} {arn} runs {through}, which Amazon ECS does not know",
        "update the service to a task definition that is ACTIVE",
    )


def _unresolved(kind: str, arn: str, session: PlaceSession, image: str, through: str) -> Usage:
    pinned = "@" not in image
    return Usage(kind, arn, session.place, image, Source.LIVE, task_definition=through, may_be_pinned=pinned)
