"""API calls that do not work out again what never changes: a fifth of the time of a call of moto goes into it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from botocore import useragent
from moto.core import responses, utils

if TYPE_CHECKING:
    from local_aws.patches import Patches


def make_calls_cheap(patches: Patches) -> None:
    """Let botocore clean each word of its user agent once, and moto list the methods of each of its classes once.

    To be called after all that gives these classes further methods.
    """
    patches.set(
        useragent, "sanitize_user_agent_string_component", cache(useragent.sanitize_user_agent_string_component)
    )
    patches.set(responses, "method_names_from_class", cache(utils.method_names_from_class))
