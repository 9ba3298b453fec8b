"""Reports as they could be, of any size and always the same: python -m page.make_report IMAGES FILE."""

from __future__ import annotations

import hashlib
import random
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ecr_cleanup.page import render

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
NAMES = ("api", "web", "worker", "billing", "search", "gateway", "reports", "shop", "auth", "mailer")
ACCOUNTS = ("222222222222", "333333333333", "444444444444")
KEPT = (
    ("keep", "in_use", "used by {user} (live: {image})"),
    ("keep", "newest", "it is among the newest 1 of its repository: 0 are newer"),
    ("keep", "protected_tag", "its tag release-7 is protected by the pattern release-*"),
    ("postpone", "too_young", "no use of it is known, and it was pushed less than 14 days, 0:00:00 ago"),
    ("postpone", "within_grace_period", "last used at 2030-01-31T02:00:00Z, less than the grace period of 1 day ago"),
)


def make_report(images: int, *, seed: int = 7, **head: Any) -> dict[str, Any]:
    """A report of so many images, in a repository for every 40 of them."""
    drawn = random.Random(seed)  # noqa: S311 - repeatable on purpose
    rows = [_image(drawn, number, max(1, images // 40)) for number in range(images)]
    repositories: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    kept: defaultdict[str, dict[str, int]] = defaultdict(lambda: {"images": 0, "bytes": 0})
    for row in rows:
        count(repositories[row["repository"]], row)
        if row["verdict"] != "remove":
            kept[row["rule"]]["images"] += 1
            kept[row["rule"]]["bytes"] += row["bytes"]
    totals = dict.fromkeys(FIGURES, 0)
    for row in rows:
        count(totals, row)
    return {
        "version": 1,
        "generated_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "installation": "ecr-cleanup",
        "registry": "111111111111",
        "action": "report",
        "dollars_per_gb_month": 0.1,
        "trusted": True,
        "problems": [],
        "failures": [],
        "asked_what_runs": True,
        "assumed_opted_in": False,
        "totals": totals,
        "kept_by_rule": sorted(
            ({"rule": rule, **figures} for rule, figures in kept.items()), key=lambda each: -each["bytes"]
        ),
        "repositories": [{"repository": n, "region": "eu-central-1", **it} for n, it in sorted(repositories.items())],
        "images_left_out": 0,
        "images": rows,
        **head,
    }


FIGURES = ("images", "bytes", "reclaimable_images", "reclaimable_bytes", "archived_images", "archived_bytes")


def count(figures: dict[str, int], row: dict[str, Any]) -> None:
    """Count one image."""
    kinds = ["", *(["reclaimable_"] if row["verdict"] == "remove" else []), *(["archived_"] if row["archived"] else [])]
    for kind in kinds:
        figures[f"{kind}images"] += 1
        figures[f"{kind}bytes"] += row["bytes"]


def _image(drawn: random.Random, number: int, repositories: int) -> dict[str, Any]:
    repository = f"team-{number % repositories // len(NAMES)}/{NAMES[number % repositories % len(NAMES)]}"
    age = timedelta(days=drawn.expovariate(1 / 200))
    pushed_at = NOW - age
    user = f"arn:aws:ecs:eu-central-1:{drawn.choice(ACCOUNTS)}:service/main/{repository.rpartition('/')[2]}"
    tag = f"{drawn.randrange(1, 9)}.{drawn.randrange(0, 60)}.{number}"
    verdict, rule, reason = ("remove", "unused", "nobody uses it, and its last known use was at 2029-11-05T08:14:00Z")
    if drawn.random() < 0.45:
        verdict, rule, reason = drawn.choice(KEPT)
    used = rule == "in_use"
    return {
        "repository": repository,
        "region": "eu-central-1",
        "digest": f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}",
        "tags": [tag] if drawn.random() < 0.85 else [],
        "bytes": int(drawn.lognormvariate(18.6, 0.9)),
        "pushed_at": f"{pushed_at:%Y-%m-%dT%H:%M:%SZ}",
        "pulled_at": None,
        "last_used_at": f"{pushed_at + age * drawn.random():%Y-%m-%dT%H:%M:%SZ}" if drawn.random() < 0.7 else None,
        "archived": drawn.random() < 0.03,
        "verdict": verdict,
        "rule": rule,
        "reason": reason.format(user=user, image=f"{repository}:{tag}"),
        "certain": verdict != "remove" or drawn.random() < 0.9,
        "users": [user] if used else [],
        "accounts": [user.split(":")[4]] if used else [],
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(render(make_report(int(sys.argv[1]))), encoding="utf-8")
