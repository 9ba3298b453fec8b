"""The queries of the README find in the functions' real log lines what it says that they find."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from documentation.checks import code_blocks, section
from documentation.generate import TREE
from documentation.logs_insights import evaluate, fields
from ecr_cleanup.check import Check
from ecr_cleanup.handlers import adapters, run_checks
from ecr_cleanup.manifest import Manifest, ManifestKind
from fakes import HOST, FakeAggregator
from integration import test_handlers

if TYPE_CHECKING:
    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.image import ImageId, Repository
    from fakes import FakeClock, Pushed
    from integration.test_handlers import Function

environment, log, run = test_handlers.environment, test_handlers.log, test_handlers.run

README = (TREE / "README.md").read_text()
ARCHIVE = code_blocks(section(README, "Archive"), "sh")
QUERIES = code_blocks(section(README, "Which images went, and why?"), "insights")
USED_BY = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7"
SINCE_A_GRACE_PERIOD = timedelta(hours=24)


class Registry:
    """Repositories with images of which the last use ended a grace period ago."""

    def __init__(self, ecr: Pushed, ledger: Ledger, clock: FakeClock) -> None:
        self.ecr, self.ledger, self.clock = ecr, ledger, clock

    def repository(self, name: str, action: str | None = None) -> Repository:
        repository = self.ecr.repository(name, ecr_cleanup="enabled")
        if action:
            arn = f"arn:aws:ecr:eu-central-1:111111111111:repository/{name}"
            self.ecr.client.tag_resource(resourceArn=arn, tags=[{"Key": "ecr-cleanup:action", "Value": action}])
        return repository

    def unused(self, repository: Repository, tag: str) -> ImageId:
        """An image of which everything is known: it was pulled, and its manifest read at an earlier check."""
        self.clock.advance(days=-60)
        image_id = self.ecr.push(repository, tag, content=tag)
        self.clock.advance(days=10)
        self.ecr.client.batch_get_image(repositoryName=repository.name, imageIds=[{"imageDigest": image_id.digest}])
        self.clock.advance(days=20)
        self.ledger.record_manifest(image_id, Manifest(ManifestKind.IMAGE), read_at=self.clock.now)
        self.clock.advance(days=30)
        self.ledger.record_last_use(image_id, at=self.clock.now - SINCE_A_GRACE_PERIOD, by=USED_BY)
        return image_id


@pytest.fixture
def registry(ecr: Pushed, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("NEWEST_IMAGES", "0")
    return Registry(ecr, ledger, clock)


def everything(
    run: Function, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[ImageId], list[dict[str, Any]]]:
    """Lines of every kind, and the images that were removed, in this order."""
    plain = registry.repository("plain")
    reported, archived = registry.repository("reported", "report"), registry.repository("archived", "archive")
    used, recent = registry.unused(plain, "used"), registry.unused(plain, "recent")
    registry.ledger.record_last_use(recent, at=registry.clock.now)
    aggregator = FakeAggregator()
    aggregator.show(USED_BY, f"{HOST}/plain:used")
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: aggregator)
    monkeypatch.setenv("TAGS_NEVER_MOVE", "true")
    deleted, moved = registry.unused(plain, "deleted"), registry.unused(archived, "moved")
    kept = registry.unused(reported, "kept")
    checks = [Check(image_id, "test").to_json() for image_id in (used, recent, deleted, kept, moved, deleted)]
    assert run("no check", *checks) == ["message-0"]
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: FakeAggregator(sources={}))
    run_checks._adapters.cache_clear()
    assert run(Check(recent, "test").to_json(), Check(kept, "test").to_json()) == []
    return [deleted, moved], run.logs()


def test_the_query_finds_all_removals_and_nothing_else(
    run: Function, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (query,) = QUERIES
    removed, lines = everything(run, registry, monkeypatch)
    verdicts = {line["verdict"] for line in lines if "verdict" in line}
    assert verdicts == {"remove", "keep", "postpone", "gone"}
    assert {"record refused", "inventory not trusted"} <= {line.get("message") for line in lines}
    rows = evaluate(query, lines)
    assert [(row["repository"], row["digest"]) for row in reversed(rows)] == [
        (image_id.repository.name, image_id.digest) for image_id in removed
    ]
    assert [row["action"] for row in reversed(rows)] == ["delete", "archive"]


def test_every_field_of_the_query_is_in_the_line_of_a_removal(
    run: Function, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (query,) = QUERIES
    _, lines = everything(run, registry, monkeypatch)
    wanted = fields(query.partition("|")[0].removeprefix("fields "))
    for row in evaluate(query, lines):
        assert list(row) == wanted
        assert row["tags.0"] in ("deleted", "moved")
        assert row["used_by.0"] == USED_BY
        assert "nobody uses it, and its last known use was at" in row["reason"]


def test_the_query_for_reports_finds_what_would_be_removed_and_why(
    run: Function, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTION", "report")
    image_id = registry.unused(registry.repository("plain"), "v1")
    assert run(Check(image_id, "test").to_json()) == []
    (query,) = code_blocks(section(README, "7. Read the reports"), "insights")
    (row,) = evaluate(query, run.logs())
    assert (row["verdict"], row["digest"], row["tags.0"]) == ("remove", image_id.digest, "v1")
    assert registry.ecr.exists(image_id)


def test_the_command_that_restores_is_the_one_of_the_line(
    run: Function, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (command,) = ARCHIVE
    monkeypatch.setenv("ACTION", "archive")
    image_id = registry.unused(registry.repository("api"), "v1")
    assert run(Check(image_id, "test").to_json()) == []
    (line,) = (line for line in run.logs() if "restore" in line)
    digests = command.partition(" in ")[2].partition(";")[0]
    assert line["restore"] == command.strip().replace(digests, image_id.digest)
    assert boto3.client("ecr").describe_images(repositoryName="api")["imageDetails"] == []
