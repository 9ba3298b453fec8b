"""Task definitions that exist and that the aggregator does not show (yet)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.inventory import Findings, Source, TrustProblem, Usage

if TYPE_CHECKING:
    from ecr_cleanup.readers.session import PlaceSession

# Each costs a call. So many are not missing because they are new.
_DESCRIBED_AT_MOST = 200


def read_new_task_definitions(session: PlaceSession) -> Findings:
    """The ACTIVE ones that the aggregator does not show: it lags, or its recorder does not do what it says.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitions.html
    """
    pages = session.ecs.get_paginator("list_task_definitions").paginate(
        status="ACTIVE", PaginationConfig={"PageSize": 100}
    )
    missing = [arn for page in pages for arn in page["taskDefinitionArns"] if arn not in session.shown]
    problems = []
    if len(missing) > _DESCRIBED_AT_MOST:
        problem = TrustProblem(
            session.place,
            f"{len(missing)} ACTIVE task definitions, such as {min(missing)}, are not in the aggregator",
            "check that the Config recorder there has recorded what existed before it was started",
        )
        problems.append(problem)
        missing = []
    usages = [
        Usage("task definition", arn, session.place, image, Source.LIVE)
        for arn in missing
        for image in session.images_of(arn) or ()
    ]
    return Findings(tuple(usages), tuple(problems))
