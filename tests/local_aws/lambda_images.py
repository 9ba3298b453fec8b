"""Lambda functions from container images: resolved at deployment, each version with its own image; pages of functions.

https://docs.aws.amazon.com/lambda/latest/dg/images-create.html. Such functions are not run. Who may pull is not judged.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.exceptions import JsonRESTError

from local_aws import ecr
from local_aws.paging import PageError, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.world import World

_IMAGE = re.compile(
    r"(?P<repository_uri>(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9/._-]+))(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]*))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
# However many are asked for, no more come: https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
_PAGE, _MAX_ITEMS = 50, 10_000
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


def emulate_images(world: World) -> None:
    """Let moto's Lambda take images as AWS does, and list functions in pages."""
    patches = world.patches
    patches.wrap(LambdaBackend, "create_function", _create_function)
    patches.wrap(LambdaBackend, "update_function_code", _update_function_code)
    patches.wrap(LambdaFunction, "_set_function_code", _set_function_code)
    patches.wrap(LambdaFunction, "get_code", _get_code)
    patches.set(LambdaResponse, "list_functions", _list_functions)


def _create_function(original: Callable[..., LambdaFunction]) -> Callable[..., LambdaFunction]:
    def create_function(backend: LambdaBackend, spec: dict[str, Any]) -> LambdaFunction:
        is_image = spec.get("PackageType", "Zip") == "Image"
        if is_image != ("ImageUri" in spec.get("Code", {})):
            raise _invalid("Code.ImageUri must be given for functions of PackageType Image, and only for them.")
        if is_image and (refused := sorted({"Handler", "Runtime", "Layers"}.intersection(spec))):
            raise _invalid(f"Not for functions of PackageType Image: {', '.join(refused)}")
        return original(backend, spec)

    return create_function


def _update_function_code(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_function_code(
        backend: LambdaBackend, function_name: str, qualifier: str | None, body: dict[str, Any]
    ) -> Any:
        is_image = backend.get_function(function_name, qualifier).package_type == "Image"
        if is_image != ("ImageUri" in body):
            raise _invalid("A function keeps its PackageType: its code is updated by one of the same.")
        return original(backend, function_name, qualifier, body)

    return update_function_code


def _set_function_code(original: Callable[..., None]) -> Callable[..., None]:
    def set_function_code(function: LambdaFunction, updated_spec: dict[str, Any]) -> None:
        if "ImageUri" not in updated_spec or (updated_spec.get("DryRun") and updated_spec is not function.code):
            original(function, updated_spec)
            return
        uri = updated_spec["ImageUri"]
        digest = _resolved(uri, function)
        # A dictionary of its own: moto's versions share the one of the function that they were made of.
        function.code = {"ImageUri": uri, "ResolvedImageUri": f"{_parts(uri)['repository_uri']}@{digest}"}
        function.code_sha_256 = digest.removeprefix("sha256:")
        function.code_size = 0

    return set_function_code


def _parts(uri: str) -> re.Match[str]:
    found = _IMAGE.fullmatch(uri)
    if found is None:
        raise _invalid(f"Source image {uri} is not valid. Provide a valid source image.")
    return found


def _resolved(uri: str, function: LambdaFunction) -> str:
    """The digest of the image, which must be there, in the function's region, and be no index."""
    parts = _parts(uri)
    if parts["region"] != function.region:
        raise _invalid(f"Source image {uri} is not valid. It must be in the region of the function.")
    image = parts["digest"] or parts["tag"] or "latest"
    architecture = _ARCHITECTURES[function.architectures[0]]
    try:
        pulled = ecr.pull_image(
            parts["account"], parts["region"], parts["repository"], image, architecture=architecture
        )
    except ecr.CannotPullError as error:
        raise _invalid(f"Source image {uri} does not exist. Provide a valid source image.") from error
    if pulled.digest != pulled.platform_digest:
        raise _invalid(f"The image manifest media type for the source image {uri} is not supported.")
    return pulled.digest


def _get_code(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def get_code(function: LambdaFunction) -> dict[str, Any]:
        answer = original(function)
        if function.package_type == "Image":
            answer["Code"] |= {name: function.code[name] for name in ("ImageUri", "ResolvedImageUri")}
        return answer

    return get_code


def _list_functions(response: LambdaResponse) -> str:
    wanted = response._get_param("FunctionVersion")
    if wanted not in (None, "ALL"):
        raise _invalid("FunctionVersion must be ALL")
    entries = []
    for function in response.backend.list_functions(wanted):
        configuration = function.get_configuration()
        if wanted and configuration["Version"] == "$LATEST" and not configuration["FunctionArn"].endswith(":$LATEST"):
            configuration["FunctionArn"] += ":$LATEST"
        entries.append(configuration)
    size = int(response._get_param("MaxItems") or _PAGE)
    if not 1 <= size <= _MAX_ITEMS:
        raise _invalid(f"MaxItems must be between 1 and {_MAX_ITEMS}")
    try:
        found, token = page(
            entries,
            lambda entry: str(entry["FunctionArn"]),
            size=min(size, _PAGE),
            token=response._get_param("Marker"),
            default=_PAGE,
            maximum=_PAGE,
            scope=wanted,
        )
    except PageError as error:
        raise _invalid(f"Invalid Marker: {error}") from error
    answer: dict[str, Any] = {"Functions": found}
    if token:
        answer["NextMarker"] = token
    return json.dumps(answer)


def _invalid(message: str) -> JsonRESTError:
    return JsonRESTError("InvalidParameterValueException", message)
