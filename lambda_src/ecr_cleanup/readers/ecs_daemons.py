"""ECS daemons, which run once on each instance, and whose task definitions AWS Config does not record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ecr_cleanup.chunks import chunks
from ecr_cleanup.errors import LiveUsageError
from ecr_cleanup.inventory import Findings, Source, Usage
from ecr_cleanup.readers.ecs_services import REVISIONS_PER_CALL, images_in_use
from ecr_cleanup.readers.session import pages_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ecr_cleanup.readers.session import PlaceSession


# How a region or a cluster answers that does not have them (yet), when it is asked to list them.
_NO_DAEMONS = ("UnsupportedFeatureException", "UnknownOperationException")


def read_daemons(session: PlaceSession) -> Findings:
    """What daemons run, and what their task definitions name.

    Raises:
        LiveUsageError: the SDK does not know daemons, so that nobody can say what they run.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListDaemons.html
    """
    if not session.cluster_arns:
        return Findings()
    # Stands for all that older SDKs leave out, too: before 1.41.1 they do not show the revisions of services.
    if not hasattr(session.ecs, "list_daemons"):
        raise LiveUsageError(
            "boto3 does not know ECS daemons; put 1.42.81 or newer into the layer (lambda.powertools_layer_arn)"
        )
    usages = [*_of_daemons(session), *_of_task_definitions(session)]
    return Findings(tuple(usages))


def _of_daemons(session: PlaceSession) -> Iterator[Usage]:
    revisions: dict[str, str] = {}
    deployments: dict[str, str] = {}
    settled: set[str] = set()
    for cluster in session.cluster_arns:
        for arn in _daemons(session, cluster):
            daemon = session.ecs.describe_daemon(daemonArn=arn)["daemon"]
            revisions |= {each["arn"]: arn for each in daemon.get("currentRevisions", ())}
            if "deploymentArn" in daemon:
                deployments[daemon["deploymentArn"]] = arn
                if len(daemon.get("currentRevisions", ())) == 1:
                    settled.add(daemon["deploymentArn"])
    revisions |= dict(_of_deployments(session, deployments, settled))
    for some in chunks(sorted(revisions), REVISIONS_PER_CALL):
        found = session.ecs.describe_daemon_revisions(daemonRevisionArns=list(some))
        session.refuse_failures(found["failures"], "ecs:DescribeDaemonRevisions")
        described = {revision["daemonRevisionArn"] for revision in found["daemonRevisions"]}
        _refuse_missing(set(some) - described, "ecs:DescribeDaemonRevisions")
        for revision in found["daemonRevisions"]:
            yield from images_in_use(
                session,
                "daemon",
                revisions[revision["daemonRevisionArn"]],
                revision.get("containerImages", ()),
                through="",
            )


def _of_deployments(
    session: PlaceSession, deployments: Mapping[str, str], settled: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The revisions between which daemons move; until a deployment has ended well, it can go back.

    One of long ago may be shown no more, as it is with services: one that is `settled` need not be.
    """
    for some in chunks(sorted(deployments), REVISIONS_PER_CALL):
        answer = session.ecs.describe_daemon_deployments(daemonDeploymentArns=list(some))
        session.refuse_failures(answer["failures"], "ecs:DescribeDaemonDeployments")
        described = {deployment["daemonDeploymentArn"] for deployment in answer["daemonDeployments"]}
        _refuse_missing(set(some) - described - set(settled), "ecs:DescribeDaemonDeployments")
        for deployment in answer["daemonDeployments"]:
            arn = deployments[deployment["daemonDeploymentArn"]]
            if "targetDaemonRevision" in deployment:
                yield deployment["targetDaemonRevision"]["arn"], arn
            if deployment.get("status") != "SUCCESSFUL":
                yield from ((each["arn"], arn) for each in deployment.get("sourceDaemonRevisions", ()))
                if back := deployment.get("rollback", {}).get("rollbackTargetDaemonRevisionArn"):
                    yield back, arn


def _daemons(session: PlaceSession, cluster: str) -> Iterator[str]:
    for page in _where_there_are_daemons(
        pages_of(session.ecs.list_daemons, "nextToken", clusterArn=cluster, maxResults=100)
    ):
        yield from (each["daemonArn"] for each in page["daemonSummariesList"])


def _refuse_missing(arns: Collection[str], operation: str) -> None:
    """Nothing else says what a daemon runs, so that nothing of what it names may be missing."""
    if arns:
        raise LiveUsageError(f"{operation} says nothing of {min(arns)}")


def _of_task_definitions(session: PlaceSession) -> Iterator[Usage]:
    """What a daemon can be made of; it cannot be deregistered, only deleted."""
    pages = pages_of(session.ecs.list_daemon_task_definitions, "nextToken", status="ACTIVE", maxResults=100)
    for arn in (each["arn"] for page in _where_there_are_daemons(pages) for each in page["daemonTaskDefinitions"]):
        found = session.ecs.describe_daemon_task_definition(daemonTaskDefinition=arn)["daemonTaskDefinition"]
        for container in found.get("containerDefinitions", ()):
            yield Usage("daemon task definition", arn, session.place, container["image"], Source.LIVE)


def _where_there_are_daemons(pages: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Pages of a list; none where there can be no daemons."""
    try:
        yield from pages
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NO_DAEMONS:
            raise
