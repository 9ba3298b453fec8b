from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.sns.models import sns_backends

from ecr_cleanup.aws.digest_ledger import DigestLedger
from ecr_cleanup.errors import LedgerConflictError
from ecr_cleanup.handlers import digest
from ecr_cleanup.image import ImageId, Repository
from fakes import REGION, SHARED, FakeClock
from function_environment import DIGEST_ENVIRONMENT
from integration.bench import aws_error, raises
from integration.test_handlers import Function, log  # noqa: F401 - the fixture "log"

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules

SEND = json.dumps({"version": 1, "digest": "send"})
TOPIC = DIGEST_ENVIRONMENT["TOPIC_ARN"]
REPOSITORY = Repository(SHARED, REGION, "team/app")
ANYTHING_ELSE = "what no digest has to say"


@pytest.fixture
def function(
    ledger: Ledger,
    schedules: CheckSchedules,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    log: io.StringIO,  # noqa: F811
) -> Iterator[Function]:
    monkeypatch.setattr(digest, "_now", clock)
    boto3.client("sns").create_topic(Name=TOPIC.rpartition(":")[2])
    for name, value in DIGEST_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    yield Function(digest.handler, capsys, log)
    digest._settings.cache_clear()
    digest._adapters.cache_clear()


def sent() -> list[tuple[str, str]]:
    """Subjects and texts."""
    backends: Any = list(sns_backends.iter_backends())
    topics = [topic for _, _, backend in backends for arn, topic in backend.topics.items() if arn.endswith(TOPIC[-20:])]
    return [(subject, text) for topic in topics for _, text, subject, *_ in topic.sent_notifications]


def remove(ledger: Ledger, clock: FakeClock, number: int = 0, **more: Any) -> None:
    """As run_checks writes it down."""
    image_id = ImageId(REPOSITORY, f"sha256:{number:064}")
    facts = {"region": REGION, "repository": "team/app", "digest": image_id.digest, "sizeBytes": 10**9, **more}
    ledger.finish_removal(
        image_id, at=clock.now, facts={"action": "delete", "tags": ["v1"], "reason": "nobody uses it", **facts}
    )


# What it must not do


def test_tells_nobody_of_nothing(function: Function, clock: FakeClock) -> None:
    assert function(SEND) == []
    clock.advance(days=1)
    assert function(SEND) == []
    assert sent() == []


@pytest.mark.parametrize("body", ["", "digest", "[]", "{}", '{"version": 2, "digest": "send"}', "[" * 9999])
def test_a_message_that_asks_for_no_digest_fails_and_says_what_would_be_right(function: Function, body: str) -> None:
    assert function(body) == ["message-0"]
    (line,) = (line for line in function.logs() if line.get("message") == "record refused")
    assert line["reason"] == 'the message does not ask for a digest, as {"version": 1, "digest": "send"} does'
    assert sent() == []


def test_tells_of_a_removal_once(function: Function, ledger: Ledger, clock: FakeClock) -> None:
    remove(ledger, clock)
    clock.advance(hours=2)
    assert function(SEND, SEND) == []
    assert function(SEND) == []
    clock.advance(days=1)
    assert function(SEND) == []
    assert [subject for subject, _ in sent()] == ["ecr-cleanup: 1 image deleted"]


def test_two_functions_at_once_tell_once(function: Function, ledger: Ledger, clock: FakeClock) -> None:
    remove(ledger, clock)
    clock.advance(hours=2)
    other = DigestLedger(boto3.client("dynamodb"), DIGEST_ENVIRONMENT["LEDGER_TABLE_NAME"])
    other.claim(now=clock.now, until=clock.now + timedelta(minutes=1))
    # It comes back when the other is surely through, or gone.
    assert function(SEND) == ["message-0"]
    assert sent() == []
    clock.advance(minutes=1)
    assert function(SEND) == []
    assert len(sent()) == 1


def test_whoever_was_overtaken_does_not_say_what_was_sent(function: Function, clock: FakeClock) -> None:
    late = DigestLedger(boto3.client("dynamodb"), DIGEST_ENVIRONMENT["LEDGER_TABLE_NAME"])
    until = clock.now + timedelta(minutes=1)
    late.claim(now=clock.now, until=until)
    clock.advance(minutes=2)
    assert function(SEND) == []
    with pytest.raises(LedgerConflictError):
        late.finish(sent_until=clock.now, leased_until=until)


# What it does


def test_tells_of_each_removal_when_its_hour_is_over(function: Function, ledger: Ledger, clock: FakeClock) -> None:
    for number in range(30):
        remove(ledger, clock, number)
        assert function(SEND) == []
        clock.advance(minutes=17)
    clock.advance(hours=2)
    assert function(SEND) == []
    told = "".join(text for _, text in sent())
    assert [told.count(f"sha256:{number:064}") for number in range(30)] == [1] * 30


def test_a_digest_that_could_not_be_sent_is_sent_later(
    function: Function, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(ledger, clock)
    clock.advance(hours=2)
    with monkeypatch.context() as patch:
        patch.setattr(digest._adapters()["sns"], "publish", raises(aws_error("AuthorizationError")))
        assert function(SEND) == ["message-0"]
    clock.advance(minutes=15)
    assert function(SEND) == []
    assert len(sent()) == 1


def test_tells_of_nothing_where_that_is_wished_for(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEN_NOTHING_WAS_REMOVED", "true")
    assert function(SEND) == []
    assert [subject for subject, _ in sent()] == ["ecr-cleanup: nothing was removed"]


def test_tells_nothing_but_what_a_digest_has_to_say(function: Function, ledger: Ledger, clock: FakeClock) -> None:
    remove(ledger, clock, environment=ANYTHING_ELSE)
    clock.advance(hours=2)
    assert function(SEND) == []
    logs = function.logs()
    (line,) = (line for line in logs if line.get("message") == "digest sent")
    assert line["images"] == 1
    assert ANYTHING_ELSE not in sent()[0][1] + json.dumps(logs)
