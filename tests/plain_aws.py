"""AWS as moto has it, for tests of Terraform that need no more than that; the others have `local_aws`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "123456789012"
"""The account that moto takes everybody for."""


@contextmanager
def plain_aws() -> Iterator[dict[str, str]]:
    """Start a server; gives the environment variables with which Terraform uses it, as `ACCOUNT`."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "eu-central-1",
        }
    finally:
        server.stop()
