"""Clients and calls that do not work out again what never changes: half the time of many a test went into that."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING

from botocore import loaders, session, useragent
from moto.core import responses

if TYPE_CHECKING:
    from local_aws.patches import Patches

# Kept as long as the process lives. Reading the models of a service takes longer than most tests.
_loader = cache(loaders.create_loader)
_word_of_user_agent = cache(useragent.sanitize_user_agent_string_component)


class _Methods:
    """The names of a class's methods, as moto asks for them: whether one is among them."""

    def __init__(self, owner: type) -> None:
        self._owner = owner

    def __contains__(self, name: str) -> bool:
        return inspect.isfunction(getattr(self._owner, name, None))


def make_calls_cheap(patches: Patches) -> None:
    """Let botocore read each model once for all sessions and clean each word of its user agent once, and moto look for
    one method instead of listing all."""
    patches.set(session, "create_loader", _loader)
    patches.set(useragent, "sanitize_user_agent_string_component", _word_of_user_agent)
    patches.set(responses, "method_names_from_class", _Methods)
