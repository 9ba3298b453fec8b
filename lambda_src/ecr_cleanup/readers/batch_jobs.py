"""AWS Batch: the job definitions from which jobs can be started. Jobs that run are tasks of ECS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecr_cleanup.inventory import Findings, Source, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ecr_cleanup.readers.session import PlaceSession


def read_job_definitions(session: PlaceSession) -> Findings:
    """Every ACTIVE job definition, of whatever kind.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobDefinitions.html
    """
    pages = session.batch.get_paginator("describe_job_definitions").paginate(
        status="ACTIVE", PaginationConfig={"PageSize": 100}
    )
    return Findings(
        tuple(
            Usage("Batch job definition", definition["jobDefinitionArn"], session.place, image, Source.LIVE)
            for page in pages
            for definition in page["jobDefinitions"]
            for image in sorted(set(_images(definition)))
        )
    )


def _images(value: object) -> Iterator[str]:
    """Every `image` in a job definition: of the one container, of nodes, of ECS's tasks and of EKS's pods."""
    if isinstance(value, list):
        for element in value:
            yield from _images(element)
    elif isinstance(value, dict):
        members: Mapping[str, Any] = value
        for name, member in members.items():
            if name == "image" and isinstance(member, str):
                yield member
            else:
                yield from _images(member)
