"""Pages of lists, for services whose lists moto gives whole."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class PageError(ValueError):
    """A page size or a token that the service does not take; the text says which."""


def page(
    entries: Iterable[T],
    key: Callable[[T], str],
    *,
    size: object,
    token: object,
    default: int,
    maximum: int,
    scope: object = "",
) -> tuple[list[T], str | None]:
    """One page of the entries in the order of their keys, and the token for the next one.

    A token names the last entry given, so that what is deleted between two pages moves nothing. It is good for the
    request that it was made for, which `scope` tells. Raises PageError.
    """
    limit = default if size in (None, "") else int(str(size))
    if not 1 <= limit <= maximum:
        raise PageError(f"The page size must be between 1 and {maximum}")
    ordered = sorted(entries, key=key)
    if token not in (None, ""):
        last = _last_key(str(token), json.dumps(scope))
        ordered = [entry for entry in ordered if key(entry) > last]
    found = ordered[:limit]
    if len(found) == len(ordered):
        return found, None
    text = json.dumps([json.dumps(scope), key(found[-1])])
    return found, base64.urlsafe_b64encode(text.encode()).decode()


def _last_key(token: str, scope: str) -> str:
    try:
        given_scope, key = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise PageError("Invalid token") from error
    if given_scope != scope:
        raise PageError("Token of another request")
    return str(key)
