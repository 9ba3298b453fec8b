"""`explain`: everything that is known about one image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecr_cleanup.cli import clock
from ecr_cleanup.cli.failures import DeniedError, NotFoundError
from ecr_cleanup.cli.judging import with_indexes
from ecr_cleanup.cli.pending import pending_check
from ecr_cleanup.cli.references import references_of
from ecr_cleanup.decision import RULES, Decision, Question, Verdict
from ecr_cleanup.image import ImageId, ImageStatus
from ecr_cleanup.manifest import REFERRER_TAG
from ecr_cleanup.policy import Policy
from ecr_cleanup.report import dollars_a_month, iso
from ecr_cleanup.texts import dollars, size

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ecr_cleanup.aws.ledger import ImageRecord
    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.cli.output import Printer, Steps
    from ecr_cleanup.image import Image
    from ecr_cleanup.image_reference import ImageReference
    from ecr_cleanup.inventory import Usage
    from ecr_cleanup.survey import Judged

_PASSED, _DECIDED, _NOT_ASKED = "passed", "decided", "not asked"
# Rules that only a function can ask, and what they would look at.
_ONLY_FUNCTIONS = {
    "held_by_an_index": "a check looks for indexes that hold it",
    "cap_reached": "a check counts the removals of the last 24 hours",
}
_ONLY_WITH_ACCOUNTS = {
    "may_be_running": "a check asks the accounts what runs; they let nobody else ask",
    "may_be_pinned": "it depends on what the accounts say",
}


@dataclass(frozen=True)
class Explainer:
    """Looks at one image from all sides."""

    installation: Installation
    steps: Steps

    def explain(self, text: str) -> dict[str, Any]:
        """All about the image that a text means, as JSON.

        Raises:
            CliError: no such image is known, or AWS cannot be asked.
        """
        settings = self.installation.settings
        references = references_of(text, settings, self.installation.session.region)
        with self.steps.step("The registry"):
            images = {
                image.id: image for reference in references for image in self.installation.registry.find([reference])
            }
        if not images:
            return self._explain_gone(text, references)
        image, *others = images.values()
        document = self._explain_image(image)
        document["also_in"] = [str(other.id) for other in others]
        return document

    def _explain_image(self, image: Image) -> dict[str, Any]:
        repository, installation = image.id.repository, self.installation
        tags = installation.registry.repository_tags(repository) or {}
        finder = installation.finder
        with self.steps.step("The repository"):
            listing = installation.registry.listing(repository)
        finder.take_listing(repository, listing)
        parents, unknown = finder.known_parents(repository)
        own_parents = sorted(parents.get(image.id.digest, ()))
        with self.steps.step("Who uses it"):
            some = [image, *(each for each in listing if each.id.digest in own_parents)]
            judged = with_indexes(installation.survey.judge(tags, some, finder.newer_images), parents, unknown)[0]
            usages = finder.inventory.users_of(image)
            record = installation.ledger.images([image.id])[image.id]
        return {
            **_identity(image.id),
            "in_registry": True,
            "tags": sorted(image.tags),
            "bytes": image.size_bytes,
            "dollars_a_month": round(dollars_a_month(image.size_bytes), 4),
            "pushed_at": iso(image.pushed_at),
            "pulled_at": iso(image.last_pulled_at),
            "status": image.status.value,
            "media_type": image.media_type,
            "artifact_type": image.artifact_type,
            "subject": image.subject,
            "is_index": image.is_index,
            "indexes": own_parents,
            "indexes_of_unknown_content": len(set(unknown) - {image.id.digest}),
            "children": list(record.manifest.children) if record.manifest else None if image.is_index else [],
            **self._referrers(image, listing),
            "repository_tags": dict(tags),
            "verdict": judged.decision.verdict.value,
            "rule": judged.decision.rule,
            "reason": judged.decision.reason,
            "doubts": list(judged.doubts),
            "until": iso(judged.decision.until),
            "rules": self._rules(judged, tags),
            "usages": self._usages(usages),
            "problems": [str(problem) for problem in finder.inventory.problems],
            "pending_check": self._pending(image.id),
            "ledger": _ledger(record),
            "removal": _removal(record),
        }

    def _explain_gone(self, text: str, references: Sequence[ImageReference]) -> dict[str, Any]:
        """What the ledger knows of an image that the registry has no more, or never had."""
        candidates = [each for reference in references for each in self._digests(reference)]
        records = self.installation.ledger.images(candidates)
        for image_id in candidates:
            record = records[image_id]
            removal, ledger = _removal(record), _ledger(record)
            if removal or any(ledger.values()):
                return {
                    **_identity(image_id),
                    "in_registry": False,
                    "verdict": Verdict.GONE.value,
                    "rule": "gone",
                    "reason": "the image is not in the registry any more",
                    "pending_check": self._pending(image_id),
                    "ledger": ledger,
                    "removal": removal,
                }
        repositories = {reference.repository for reference in references}
        missing = [each for each in repositories if self.installation.registry.repository_tags(each) is None]
        if len(missing) == len(repositories):
            names = ", ".join(sorted({f"{each.region}/{each.name}" for each in missing}))
            raise NotFoundError(f"there is no repository {names} in the registry, and nothing on record of {text}")
        raise NotFoundError(f"there is no image {text} in the registry, and nothing on record of it")

    def _digests(self, reference: ImageReference) -> list[ImageId]:
        """What a reference can have meant: its digest, or those that the tag was pushed with, the last one first."""
        if reference.image_id:
            return [reference.image_id]
        tag = reference.tag or ""
        pushes = self.installation.ledger.pushes(reference.repository, [tag])[tag]
        return [ImageId(reference.repository, push.digest) for push in sorted(pushes, reverse=True)]

    def _referrers(self, image: Image, listing: Sequence[Image]) -> dict[str, Any]:
        found = {each.id.digest for each in listing if each.subject == image.id.digest or _names(each, image)}
        trouble = None
        try:
            found |= {each.digest for each in self.installation.registry.referrers(image.id)}
        except DeniedError as error:
            trouble = f"{error.permission} is missing, so that there may be more"
        return {"referrers": sorted(found), "referrers_unknown": trouble}

    def _rules(self, judged: Judged, tags: Mapping[str, str]) -> list[dict[str, str]]:
        """Each rule in its order, and what it says by what is known."""
        policy = Policy.of(self.installation.settings, tags)
        only_functions = _ONLY_FUNCTIONS | (_ONLY_WITH_ACCOUNTS if policy.live_usage else {})
        rows, is_decided = [], False
        for rule in RULES:
            name, answer, text = rule.__name__, _NOT_ASKED, ""
            if is_decided:
                text = "an earlier rule decided"
            elif name == judged.decision.rule:
                answer, text, is_decided = _DECIDED, judged.decision.reason, True
            elif name in only_functions:
                text = only_functions[name]
            else:
                says = rule(judged.image, judged.evidence, policy)
                answer = _NOT_ASKED if isinstance(says, Question) else _PASSED
                if isinstance(says, Decision):
                    raise ValueError(f"{name} decides otherwise than the survey did")
            means = " ".join((rule.__doc__ or "").split("\n\n", maxsplit=1)[0].split())
            rows.append({"rule": name, "answer": answer, "means": means, "text": text})
        return rows

    def _usages(self, usages: Collection[Usage]) -> list[dict[str, Any]]:
        """Each consumer that names the image, and whether it counts."""
        arns = {usage.arn for usage in usages if usage.kind == "task definition"}
        records = self.installation.ledger.task_definitions(arns)
        rows = []
        for usage in sorted(usages, key=lambda each: (each.place, each.kind, each.arn, each.reference)):
            record = records.get(usage.arn)
            ended = record.deregistered_at if record else None
            rows.append(
                {
                    "account": usage.place.account,
                    "region": usage.place.region,
                    "kind": usage.kind,
                    "arn": usage.arn,
                    "task_definition": usage.task_definition,
                    "reference": usage.reference,
                    "source": usage.source.value,
                    "deregistered_at": iso(ended),
                    "counts": ended is None,
                }
            )
        return rows

    def _pending(self, image_id: ImageId) -> dict[str, Any] | None:
        if not self.installation.is_deployed:
            return None
        found = pending_check(self.installation, image_id)
        if found is None:
            return None
        check = found.check
        return {
            "due_at": iso(found.due_at),
            "cause": check.cause if check else None,
            "attempt": check.attempt if check else None,
        }


def _identity(image_id: ImageId) -> dict[str, Any]:
    repository = image_id.repository
    return {
        "version": 1,
        "generated_at": iso(clock.now()),
        "registry": repository.registry_id,
        "region": repository.region,
        "repository": repository.name,
        "digest": image_id.digest,
    }


def _names(other: Image, image: Image) -> bool:
    """Whether another image has a tag that says that it is for this one, as cosign's have."""
    matches = [REFERRER_TAG.fullmatch(tag) for tag in other.tags]
    return any(match and f"sha256:{match['hex']}" == image.id.digest for match in matches)


def _ledger(record: ImageRecord) -> dict[str, Any]:
    return {
        "last_used_at": iso(record.last_used_at),
        "watched_since": iso(record.watched_since),
        "used_by": sorted(record.used_by),
        "held": record.held,
        "held_by_index_at": iso(record.held_by_index_at),
        "archived_at": iso(record.archived_at),
        "manifest_read_at": iso(record.manifest_read_at),
    }


def _removal(record: ImageRecord) -> dict[str, Any] | None:
    """The last removal that the ledger has, be it finished or not."""
    if record.removal_started_at is None:
        return None
    document = json.loads(record.removal) if record.removal else {}
    facts = document.get("facts", {})
    return {
        "action": document.get("action"),
        "started_at": iso(record.removal_started_at),
        "removed_at": iso(record.removed_at),
        "reason": facts.get("reason"),
        "tags": facts.get("tags", []),
        "bytes": facts.get("sizeBytes"),
        "used_by": facts.get("usedBy", []),
        "restore": facts.get("restore"),
    }


def as_json(document: Mapping[str, Any]) -> str:
    """The format of docs/explain.schema.json."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def show(document: Mapping[str, Any], printer: Printer) -> None:
    """Print it for people."""
    printer.line(
        f"{document['registry']}/{document['region']}/{document['repository']}@{document['digest']}", style="bold"
    )
    printer.line()
    if document["in_registry"]:
        _show_image(document, printer)
    verdict = document["verdict"]
    printer.line(f"Verdict: {verdict} ({document['rule']})", style="bold magenta" if verdict == "remove" else "bold")
    printer.line(f"  {document['reason']}")
    for doubt in document.get("doubts", ()):
        printer.line(f"  {doubt}")
    if document.get("until"):
        printer.line(f"  until {document['until']}")
    if document["in_registry"]:
        _show_rules_and_usages(document, printer)
    _show_record(document, printer)


def _show_image(document: Mapping[str, Any], printer: Printer) -> None:
    kind = "index" if document["is_index"] else document["artifact_type"] or document["media_type"] or "unknown"
    status = "" if document["status"] == ImageStatus.ACTIVE.value else f", {document['status']}"
    rows = [
        ("Tags", " ".join(document["tags"]) or "none"),
        ("Size", f"{size(document['bytes'])}, at most {dollars(document['dollars_a_month'])} a month"),
        ("Pushed", document["pushed_at"]),
        ("Pulled", document["pulled_at"] or "never, as far as ECR knows"),
        ("Kind", f"{kind}{status}"),
        ("In indexes", _in_indexes(document)),
        ("Holds", _holds(document)),
        ("Referrers", _listed(document["referrers"], document["referrers_unknown"])),
        ("Elsewhere", " ".join(document["also_in"])),
    ]
    for name, value in rows:
        if value:
            printer.line(f"{name + ':':<12}{value}")
    printer.line()


def _in_indexes(document: Mapping[str, Any]) -> str:
    number = document["indexes_of_unknown_content"]
    indexes = "index" if number == 1 else "indexes"
    unknown = f"nobody has read yet what {number} {indexes} of the repository hold" if number else None
    return _listed(document["indexes"], unknown)


def _holds(document: Mapping[str, Any]) -> str:
    if document["children"] is None:
        return "unknown, as nobody has read its manifest yet"
    return " ".join(document["children"])


def _listed(some: Sequence[str], unknown: str | None) -> str:
    known = " ".join(some) or "none"
    return f"{known} ({unknown})" if unknown else known


def _show_rules_and_usages(document: Mapping[str, Any], printer: Printer) -> None:
    printer.line()
    said_above = {document["reason"]: "as said above"}
    rows = [
        [rule["rule"], rule["answer"], rule["means"], said_above.get(rule["text"], rule["text"]) or "-"]
        for rule in document["rules"]
    ]
    printer.table(["Rule", "Answer", "It speaks where", "Here"], rows)
    printer.line()
    if usages := document["usages"]:
        rows = [
            [
                f"{each['account']}/{each['region']}",
                each["kind"],
                each["arn"],
                each["reference"],
                each["source"],
                "yes" if each["counts"] else f"no, deregistered at {each['deregistered_at']}",
            ]
            for each in usages
        ]
        printer.table(["Account", "Kind", "ARN", "Reference", "Source", "Counts"], rows)
    else:
        printer.line("Nobody is known to use it.")
    for problem in document["problems"]:
        printer.line(f"Not trusted: {problem}", style="yellow")


def _show_record(document: Mapping[str, Any], printer: Printer) -> None:
    printer.line()
    ledger, pending, removal = document["ledger"], document["pending_check"], document["removal"]
    if pending:
        printer.line(f"A check is due at {pending['due_at']}: {pending['cause']}.")
    else:
        printer.line("No check of it is pending.")
    times = {
        "Last used": ledger["last_used_at"],
        "Watched since": ledger["watched_since"],
        "Archived": ledger["archived_at"],
        "Part of an index": ledger["held_by_index_at"],
        "Used by": " ".join(ledger["used_by"]),
    }
    for name, value in times.items():
        if value:
            printer.line(f"{name}: {value}")
    if removal:
        done = f"{removal['action'] or 'removal'} begun at {removal['started_at']}"
        ended = f"done at {removal['removed_at']}" if removal["removed_at"] else "not finished yet"
        printer.line(f"Removal: {done}, {ended}: {removal['reason']}")
        if removal["tags"]:
            printer.line(f"  tags then: {' '.join(removal['tags'])}")
        if removal["restore"]:
            printer.line(f"  to restore it: {removal['restore']}")
