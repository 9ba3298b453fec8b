"""The decision alone, in memory: so many images against so many references.

`python -m bench.decision 1000000 100000`
"""

from __future__ import annotations

import gc
import json
import sys
import time
from datetime import UTC, datetime, timedelta

from bench.function import peak_mb
from ecr_cleanup.decision import Decision, Evidence, Verdict, decide
from ecr_cleanup.image import Image, ImageId, Repository
from ecr_cleanup.inventory import Findings, Inventory, Source, Usage, build_inventory
from ecr_cleanup.policy import Policy
from ecr_cleanup.settings import Action, CheckSettings, Place
from function_environment import ENVIRONMENT

_NOW = datetime(2030, 1, 31, tzinfo=UTC)
_OLD = _NOW - timedelta(days=200)
_TAGS = {"ecr-cleanup": "enabled"}
_IMAGES_PER_REPOSITORY = 1_000


def measure(count: int, references: int) -> dict[str, float]:
    """Judge so many images, of which so many are used: CPU seconds for the inventory, the decisions, and decisions
    with their reasons in words, which a sweep has only where it writes a report."""
    images = list(_images(count))
    settings = CheckSettings.from_environment({**ENVIRONMENT, "TAGS_NEVER_MOVE": "true", "NEWEST_IMAGES": "0"})
    policy = Policy.of(settings, _TAGS)._replace(action=Action.REPORT)
    usages = tuple(_usage(images[number % count], number) for number in range(references))
    # A sweep has one page of images at a time, so that no collection has to look at a million of them.
    gc.collect()
    gc.freeze()
    started = time.process_time()
    inventory = build_inventory([Findings(usages)], read_at=_NOW)
    built = time.process_time()
    unused = sum(_decision(image, inventory, policy).verdict is Verdict.REMOVE for image in images)
    decided = time.process_time()
    letters = sum(len(_decision(image, inventory, policy).reason) for image in images)
    worded = time.process_time()
    gc.unfreeze()
    if unused != count - min(count, references):
        sys.exit(f"{unused} of {count} images looked unused, which are not all that nothing refers to")
    if letters < count:
        sys.exit("there are decisions without a reason")
    return {
        "inventory_seconds": built - started,
        "decision_seconds": decided - built,
        "worded_seconds": worded - decided,
        "peak_mb": peak_mb(),
    }


def _decision(image: Image, inventory: Inventory, policy: Policy) -> Decision:
    answer = decide(
        Evidence(
            image_id=image.id,
            image=image,
            repository_tags=_TAGS,
            attempt=0,
            now=_NOW,
            last_used_at=_OLD,
            users=tuple(inventory.users_of(image)),
        ),
        policy,
    )
    if not isinstance(answer, Decision):
        sys.exit(f"the rules ask {answer.value}")
    return answer


def _images(count: int) -> list[Image]:
    repository = Repository("111111111111", "eu-central-1", "team/app")
    images = []
    for number in range(count):
        if number % _IMAGES_PER_REPOSITORY == 0:
            repository = Repository("111111111111", "eu-central-1", f"team/app-{number // _IMAGES_PER_REPOSITORY}")
        digest = f"sha256:{number:064x}"
        images.append(Image(ImageId(repository, digest), frozenset({f"v{number}"}), 10_000_000, _OLD))
    return images


def _usage(image: Image, number: int) -> Usage:
    repository = image.id.repository
    (tag,) = image.tags
    host = f"{repository.registry_id}.dkr.ecr.{repository.region}.amazonaws.com"
    arn = f"arn:aws:ecs:eu-central-1:222222222222:task-definition/family:{number + 1}"
    place = Place("222222222222", "eu-central-1")
    return Usage("task definition", arn, place, f"{host}/{repository.name}:{tag}", Source.AGGREGATOR)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
