"""AWS Lambda: functions that are container images, `$LATEST` and every published version, as any can be invoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.errors import LiveUsageError
from ecr_cleanup.inventory import Findings, Source, Usage

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import FunctionConfigurationTypeDef

    from ecr_cleanup.readers.session import PlaceSession


def read_functions(session: PlaceSession) -> Findings:
    """The images of functions. Which one a version runs never changes as long as it has the same revision id.

    The hash of its code does not say that: of an image it is the digest, which is the same in any repository.

    https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html gives no images,
    https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html does, of one version at a time.
    """
    # Lambda gives 50 at a time at the most.
    pages = session.functions.get_paginator("list_functions").paginate(
        FunctionVersion="ALL", PaginationConfig={"PageSize": 50}
    )
    versions = {
        f"{version['FunctionArn']}#{version.get('RevisionId', '')}": version
        for page in pages
        for version in page["Functions"]
        if version.get("PackageType") == "Image"
    }
    named = [name for name, version in versions.items() if version.get("RevisionId")]
    remembered = session.memory.remembered_images(named) if named else {}
    usages = []
    for name, version in versions.items():
        images = remembered.get(name)
        if images is None:
            images = _images(session, version)
            if version.get("RevisionId") and all("@" in image for image in images):
                session.memory.remember_images(name, images)
        usages += [
            # Lambda resolves a tag when the code is updated; where it does not say to what, nobody knows.
            Usage(
                "Lambda function",
                version["FunctionArn"],
                session.place,
                image,
                Source.LIVE,
                may_be_pinned="@" not in image,
            )
            for image in sorted(images)
        ]
    return Findings(tuple(usages))


def _images(session: PlaceSession, version: FunctionConfigurationTypeDef) -> frozenset[str]:
    code = session.functions.get_function(FunctionName=version["FunctionName"], Qualifier=version["Version"])["Code"]
    image = code.get("ResolvedImageUri") or code.get("ImageUri")
    if not image:
        raise LiveUsageError(f"lambda:GetFunction does not name the image of {version['FunctionArn']}")
    return frozenset([image])
