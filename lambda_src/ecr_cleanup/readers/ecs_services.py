"""ECS: services with what their deployments resolved, task sets, and tasks.

ECS resolves the tags of a deployment when its first task starts, and pulls by digest from then on:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html#deployment-container-image-stability.
A service revision says to what; where it does not, its usages by tag may mean any image that the tag ever meant.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

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

# A service deployment in one of these does not go on by itself.
_OVER = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")


class _Revision(NamedTuple):
    """A service revision that is in use; `can_come_back` says that a deployment that is not over may go back to it."""

    service: str
    can_come_back: bool = False

    def __or__(self, other: _Revision) -> _Revision:
        """What is known of it from two sides."""
        return _Revision(self.service, self.can_come_back or other.can_come_back)


def read_services_and_tasks(session: PlaceSession) -> Findings:
    """What services would start tasks from, and what tasks run, or ran within the hour that ECS shows them."""
    usages: list[Usage] = []
    of_tasks: list[Usage] = []
    problems: list[TrustProblem] = []
    services: list[ServiceTypeDef] = []
    for cluster in session.cluster_arns:
        services += _services(session, cluster)
        for task in _tasks(session, cluster):
            of_tasks += _usages_of_task(session, task)
    revisions = _revisions(session, services, problems)
    resolved = _resolved(session, revisions, usages, problems)
    for service in services:
        for kind, name, through in _without_revision(service, resolved[service["serviceArn"]]):
            images = session.images_of(through)
            if images is None:
                problems += _nobody_knows(session, kind, name, service["serviceArn"], through)
            usages += [_unresolved(kind, name, session, image, through) for image in images or ()]
    # Services first: they say more to whoever reads the first few.
    return Findings((*usages, *of_tasks), tuple(problems))


def _revisions(
    session: PlaceSession, services: Iterable[ServiceTypeDef], problems: list[TrustProblem]
) -> dict[str, _Revision]:
    """The revisions that services run, move to or may go back to, by ARN."""
    revisions: dict[str, _Revision] = {}
    deployments: dict[str, ServiceTypeDef] = {}
    for service in services:
        for summary in service.get("currentServiceRevisions", ()):
            revisions[summary["arn"]] = _Revision(service["serviceArn"])
        if "currentServiceDeployment" in service:
            # Whether it is over, only it says: a rollout may be COMPLETED before the bake time.
            deployments[service["currentServiceDeployment"]] = service
    for arn, known in _of_deployments(session, deployments, problems):
        revisions[arn] = revisions[arn] | known if arn in revisions else known
    return revisions


def _resolved(
    session: PlaceSession, revisions: Mapping[str, _Revision], usages: list[Usage], problems: list[TrustProblem]
) -> defaultdict[str, Counter[str]]:
    """Look at the revisions, and count by service and task definition those that say what they resolved.

    Two deployments of one task definition can have resolved its tags to different images, and have a revision each.
    """
    resolved: defaultdict[str, Counter[str]] = defaultdict(Counter)
    missing = set(revisions)
    for revision in _described(session, revisions):
        missing.discard(revision["serviceRevisionArn"])
        known = revisions[revision["serviceRevisionArn"]]
        resolved[known.service][revision.get("taskDefinition", "")] += 1
        usages += _usages_of_revision(session, revision, known, problems)
    for arn in sorted(missing):
        # One from before ECS kept them (October 2024), or of a service that was just deleted.
        known = revisions[arn]
        resolved[known.service].clear()
        if known.can_come_back:
            problems += _unknown(session, "revision", arn, known.service)
    return resolved


def images_in_use(
    session: PlaceSession, kind: str, arn: str, containers: Iterable[Mapping[str, Any]], *, through: str
) -> Iterator[Usage]:
    """The usages of what a revision deploys: the digest that a tag was resolved to, and what the tag means now.

    The tag counts, too, since the next deployment resolves it anew. A tag without a digest may have been resolved all
    the same: a task may have been made with it, and stopped before it pulled. `through` is the task definition.
    """
    for container in containers:
        image, digest = container.get("image"), container.get("imageDigest")
        if not image:
            continue
        unknown = not digest and "@" not in image
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


def _is_in_progress(service: ServiceTypeDef) -> bool:
    """Whether a deployment surely goes on, or may do so where ECS gives no state (behind a Classic Load Balancer)."""
    states = [deployment.get("rolloutState") for deployment in service.get("deployments", ())]
    return "IN_PROGRESS" in states or (None in states and len(states) > 1)


def _of_deployments(
    session: PlaceSession, deployments: Mapping[str, ServiceTypeDef], problems: list[TrustProblem]
) -> Iterator[tuple[str, _Revision]]:
    """The revisions between which services move: any of them may have to run again.

    ECS shows deployments of the last 90 days:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html
    """
    for some in chunks(sorted(deployments), REVISIONS_PER_CALL):
        answer = session.ecs.describe_service_deployments(serviceDeploymentArns=list(some))
        session.refuse_failures(answer.get("failures", ()), "ecs:DescribeServiceDeployments")
        missing = set(some)
        for deployment in answer.get("serviceDeployments", ()):
            missing.discard(deployment["serviceDeploymentArn"])
            service = deployment.get("serviceArn", "")
            if target := deployment.get("targetServiceRevision"):
                yield target["arn"], _Revision(service)
            status = deployment.get("status")
            if status == "SUCCESSFUL":
                continue
            known = _Revision(service, can_come_back=status not in _OVER)
            for source in deployment.get("sourceServiceRevisions", ()):
                yield source["arn"], known
            if back := deployment.get("rollback", {}).get("serviceRevisionArn"):
                yield back, known
        for arn in sorted(missing):
            if _is_in_progress(deployments[arn]):
                problems += _unknown(session, "deployment", arn, deployments[arn]["serviceArn"])


def _described(session: PlaceSession, revisions: Mapping[str, _Revision]) -> Iterator[ServiceRevisionTypeDef]:
    for some in chunks(sorted(revisions), REVISIONS_PER_CALL):
        answer = session.ecs.describe_service_revisions(serviceRevisionArns=list(some))
        session.refuse_failures(answer.get("failures", ()), "ecs:DescribeServiceRevisions")
        yield from answer.get("serviceRevisions", ())


def _usages_of_revision(
    session: PlaceSession, revision: ServiceRevisionTypeDef, known: _Revision, problems: list[TrustProblem]
) -> Iterator[Usage]:
    through = revision.get("taskDefinition", "")
    containers = revision.get("containerImages", ())
    images = session.images_of(through) if through else None
    if images is None and not containers:
        what = through or revision["serviceRevisionArn"]
        problems += _nobody_knows(session, "service", known.service, known.service, what)
    yield from images_in_use(session, "service", known.service, containers, through=through)
    # ECS may render `repository:tag` as `repository:tag@sha256:...`.
    named = {container.get("image", "").partition("@")[0] for container in containers}
    for image in images or ():
        if image.partition("@")[0] not in named:
            yield _unresolved("service", known.service, session, image, through)
        elif "@" not in image:
            yield Usage("service", known.service, session.place, image, Source.LIVE, task_definition=through)


def _without_revision(service: ServiceTypeDef, resolved: Counter[str]) -> list[tuple[str, str, str]]:
    """What a service has task definitions for and says no revision of: task sets, and deployments of former times.

    `resolved` counts the revisions that are known, by task definition.
    """
    arn = service["serviceArn"]
    wanted = Counter(each.get("taskDefinition", "") for each in service.get("deployments", ()))
    wanted |= Counter([service.get("taskDefinition", "")])
    others = {("service", arn, definition) for definition, count in wanted.items() if count > resolved[definition]}
    others |= {("task set", each["taskSetArn"], each.get("taskDefinition", "")) for each in service.get("taskSets", ())}
    return sorted(each for each in others if each[2])


def _nobody_knows(session: PlaceSession, kind: str, arn: str, service: str, through: str) -> list[TrustProblem]:
    return _unless_exempt(
        session,
        f"{kind} {arn} runs {through}, which Amazon ECS does not know",
        "update the service to a task definition that is ACTIVE, or exempt the ARN of the service or task definition",
        arn,
        service,
        through,
    )


def _unknown(session: PlaceSession, kind: str, arn: str, service: str) -> list[TrustProblem]:
    return _unless_exempt(
        session,
        f"Amazon ECS says nothing of the {kind} {arn}, and {service} may go back to what it ran before",
        "none needed: it is asked again later; if it stays so, deploy the service anew, or exempt its ARN",
        service,
    )


def _unless_exempt(session: PlaceSession, reason: str, repair: str, *arns: str) -> list[TrustProblem]:
    if any(session.settings.is_exempt(session.place, arn) for arn in arns):
        return []
    return [TrustProblem(session.place, reason, repair)]


def _unresolved(kind: str, arn: str, session: PlaceSession, image: str, through: str) -> Usage:
    pinned = "@" not in image
    return Usage(kind, arn, session.place, image, Source.LIVE, task_definition=through, may_be_pinned=pinned)
