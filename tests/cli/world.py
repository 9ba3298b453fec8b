"""A registry with one image of every kind, for output that is worth reading."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ecr_cleanup.aws.ledger import ImageRecord
from ecr_cleanup.check import Check
from fakes import DEV, HOST, PROD

if TYPE_CHECKING:
    from ecr_cleanup.image import ImageId
    from integration.bench import Bench

SERVICE = "arn:aws:ecs:eu-central-1:222222222222:service/main/app"
TASK_DEFINITION = "arn:aws:ecs:eu-central-1:333333333333:task-definition/app:8"
FORMER = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7"


@dataclass(frozen=True)
class World:
    """The images, by what became of them."""

    used: ImageId
    unused: ImageId
    young: ImageId
    chart: ImageId
    index: ImageId
    child: ImageId
    untagged: ImageId
    removed: ImageId


def layers(*names: str) -> list[dict[str, object]]:
    """Layers of a manifest: of 40 MB each, but for the base of 60 MB."""
    return [
        {"mediaType": "layer", "size": 60_000_000 if name == "base" else 40_000_000, "digest": f"sha256:{name:0>64}"}
        for name in names
    ]


def build(bench: Bench) -> World:
    """Fill the registry, the aggregator and the ledger."""
    ledger, now = bench.ledger, bench.clock.now
    used = bench.push("v2", content="v2", layers=layers("base", "b"))
    unused = bench.push("v0", content="v0", layers=layers("base", "a"))
    young = bench.push("v3", content="v3", days_ago=2, layers=layers("base", "c"))
    chart = bench.push("chart", content="chart", config_type="application/vnd.cncf.helm.config.v1+json")
    child = bench.push(content="child", layers=layers("base", "d"), days_ago=90)
    index = bench.push_index("v2-multi", children=[child], days_ago=90)
    untagged = bench.push(content="left over", layers=layers("base", "e"), days_ago=90)
    removed = bench.push("gone", content="gone")
    bench.aggregator.show(TASK_DEFINITION, f"{HOST}/team/app:v2", place=DEV)
    bench.aggregator.show(FORMER, f"{HOST}/team/app:v2", place=PROD)
    bench.aggregator.show_consumer("AWS::ECS::Service", SERVICE, task_definition=TASK_DEFINITION, place=PROD)
    bench.aggregator.show(TASK_DEFINITION.replace(":8", ":9"), f"{HOST}/team/app:v2-multi", place=DEV)
    ledger.record_deregistration(FORMER, at=now - timedelta(days=3), references=[], image_ids=[])
    ledger.record_last_use(unused, at=now - timedelta(days=3), by=FORMER)
    ledger.record_manifest(index, bench.ecr.registry.manifests([index])[index], read_at=None)
    ledger.record_push(removed.repository, "gone", removed.digest, at=now - timedelta(days=30))
    removal = {
        "action": "delete",
        "belongings": {},
        "facts": {"reason": "nobody uses it", "tags": ["gone"], "sizeBytes": 1000, "usedBy": [FORMER], "restore": None},
    }
    ledger.begin_removal(removed, record=ImageRecord(), at=now - timedelta(days=1), removal=json.dumps(removal))
    ledger.finish_removal(removed, at=now - timedelta(days=1), facts={})
    bench.ecr.registry.delete(removed)
    bench.schedules.put(Check(unused, f"{FORMER} was deregistered"), now + timedelta(hours=3), now=now)
    bench.schedules.put(Check(bench.image_id, "the sweep found it unused", 2), now + timedelta(hours=1), now=now)
    bench.tag_repository(ecr_cleanup__keep_newest="1")
    return World(used, unused, young, chart, index, child, untagged, removed)
