from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ecr_cleanup.aws.clients import Credentials, place_client

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.client import BaseClient

ONE, OTHER = (Credentials(f"ASIA{name}", "secret", f"token-{name}") for name in ("ONE", "OTHER"))


def connections(client: Any) -> object:
    return client._endpoint.http_session


def signed(client: Any) -> dict[str, str]:
    """The headers of a request that goes nowhere."""
    requests: list[AWSPreparedRequest] = []

    def take(request: AWSPreparedRequest, **_: object) -> None:
        requests.append(request)
        raise InterruptedError

    client.meta.events.register("before-send", take)
    with pytest.raises(InterruptedError):
        client.list_clusters()
    return {str(name): str(value) for name, value in requests[0].headers.items()}


def test_clients_of_one_endpoint_share_connections_and_nothing_else() -> None:
    one, other = (place_client("ecs", credentials, "eu-central-1") for credentials in (ONE, OTHER))
    assert connections(one) is connections(other)
    for client, credentials in ((one, ONE), (other, OTHER)):
        headers = signed(client)
        assert credentials.access_key_id in headers["Authorization"]
        assert credentials.session_token in headers["X-Amz-Security-Token"]


@pytest.mark.parametrize(("service", "region"), [("ecs", "eu-west-1"), ("config", "eu-central-1")])
def test_other_endpoints_have_connections_of_their_own(service: str, region: str) -> None:
    assert connections(place_client(service, ONE, region)) is not connections(place_client("ecs", ONE, "eu-central-1"))


def test_many_threads_can_make_clients() -> None:
    def make(number: int) -> BaseClient:
        return place_client("ecs", ONE, f"eu-west-{1 + number % 3}")

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(make, range(48)))
    assert len({id(connections(client)) for client in made}) == 3


def test_an_sdk_that_hides_its_connections_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        _endpoint = object()

    monkeypatch.setattr(boto3, "client", lambda *_, **__: Client())
    assert isinstance(place_client("ecs", ONE, "eu-central-1"), Client)


def test_credentials_do_not_show() -> None:
    assert "secret" not in repr(ONE)
    assert "token" not in repr(ONE)
