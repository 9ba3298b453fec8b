"""`doctor`: is the installation sound? Every finding is a line with its repair."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ecr_cleanup.aws.tagging import opted_in_repositories
from ecr_cleanup.cli import clock
from ecr_cleanup.cli.failures import AwsError, DeniedError, ThrottledError, error_of_sdk
from ecr_cleanup.cli.pending import schedules
from ecr_cleanup.report import iso
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.cli.output import Printer, Steps
    from ecr_cleanup.image import Repository

OK, WARNING, FAILURE = "ok", "warning", "failure"

_FUNCTIONS = ("schedule-checks", "run-checks")
_SWEEP = "sweep"
_ERRORS_WITHIN = timedelta(days=1)
_EVENTS_WITHIN = timedelta(days=7)
# It runs once a day by default.
_SWEEP_WITHIN = timedelta(days=2)
_LIVE_PROBLEM = "what runs there could not be read"
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html: the prefix of all repositories
_ALL_REPOSITORIES = "ROOT"
_NAMED = 5
_NAMESPACE = "EcrCleanup"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found. `repair` says what to do about a warning or a failure."""

    status: str
    subject: str
    text: str
    repair: str = ""


Look = tuple[str, "Callable[[], Iterator[Finding]]"]


@dataclass
class Doctor:
    """Looks at every part of an installation."""

    installation: Installation
    steps: Steps

    def findings(self) -> list[Finding]:
        """All findings. What the caller may not look at is a warning, and the others are looked at all the same."""
        looks: list[Look] = [
            ("functions", self._functions),
            ("errors", self._errors),
            ("inventory", self._inventory),
            ("sweep", self._last_sweep),
            ("schedule of the sweep", self._schedule_of_the_sweep),
            ("rules", self._rules),
            ("events", self._events),
            ("dead letters", self._dead_letters),
            ("pull times", self._pull_times),
            ("repositories", self._opted_in),
            ("lifecycle policies", self._lifecycle_policies),
            ("pull-through caches", self._pull_through_caches),
        ]
        found: list[Finding] = []
        with self.steps.step("Looking", len(looks)) as step:
            for subject, look in looks:
                step.advance(f"Looking at {subject}", by=0)
                found += _careful(subject, look)
                step.advance()
        return found

    def _functions(self) -> Iterator[Finding]:
        for part in (*_FUNCTIONS, _SWEEP):
            yield from self._function(part)

    def _function(self, part: str) -> Iterator[Finding]:
        name, client = f"{self.installation.name}-{part}", self.installation.session.client("lambda")
        try:
            function = client.get_function_configuration(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            if part == _SWEEP:
                text = f"there is no function {name}: images that were never deployed are not looked for"
                yield Finding(WARNING, "functions", text, "apply the module shared_account with the sweep on")
            else:
                yield Finding(FAILURE, "functions", f"there is no function {name}", "apply the module shared_account")
            return
        state, update = function.get("State", "Active"), function.get("LastUpdateStatus", "Successful")
        if state not in ("Active", "Inactive") or update == "Failed":
            why = function.get("StateReason") or function.get("LastUpdateStatusReason") or "AWS does not say why"
            text = f"{name} is {state}, its last update {update}: {why}"
            yield Finding(FAILURE, "functions", text, "apply the module shared_account again")
            return
        named = function.get("FunctionArn", name)
        mappings = client.list_event_source_mappings(FunctionName=named)["EventSourceMappings"]
        off = [mapping for mapping in mappings if mapping.get("State") not in ("Enabled", "Enabling", "Updating")]
        if not mappings or off:
            what = f"is {off[0].get('State')}" if off else "is missing"
            text = f"the mapping from its queue to {name} {what}: it takes no messages"
            yield Finding(FAILURE, "functions", text, "apply the module shared_account again")
        else:
            yield Finding(OK, "functions", f"{name} is there, and takes messages")

    def _errors(self) -> Iterator[Finding]:
        names = [f"{self.installation.name}-{part}" for part in (*_FUNCTIONS, _SWEEP)]
        errors = self._sums("AWS/Lambda", "Errors", "FunctionName", names, _ERRORS_WITHIN)
        failing = {name: count for name, count in errors.items() if count}
        for name, count in failing.items():
            text = f"{name} failed {count:.0f} times in the last day"
            yield Finding(FAILURE, "errors", text, f"read its log, /aws/lambda/{name}, for lines of the level ERROR")
        if not failing:
            yield Finding(OK, "errors", "no function failed in the last day, by its metric of errors")

    def _inventory(self) -> Iterator[Finding]:
        inventory = self.installation.finder.inventory
        for problem in inventory.problems:
            place = f"{problem.place}: " if problem.place else ""
            yield Finding(FAILURE, "inventory", f"{place}{problem.reason}", problem.repair)
        if not inventory.problems:
            accounts, places = {place.account for place in inventory.expected}, len(inventory.expected)
            text = (
                f"all {len(accounts)} accounts ({places} with their regions) report to the aggregator "
                f"{self.installation.settings.aggregator_name}, which knows {inventory.size} usages"
            )
            yield Finding(OK, "inventory", text)

    def _last_sweep(self) -> Iterator[Finding]:
        summary = self.installation.sweeps.last_summary()
        if summary is None:
            text = "no sweep has ended yet: nobody knows whether the accounts can be asked what runs"
            yield Finding(WARNING, "sweep", text, "wait for the first sweep; if none comes, read the log of the sweep")
            return
        at = datetime.fromisoformat(summary["generated_at"])
        age = clock.now() - at
        if age > _SWEEP_WITHIN:
            text = f"the last sweep ended at {iso(at)}, {age.days} days ago"
            yield Finding(WARNING, "sweep", text, "read the log of the sweep, and see whether its schedule is on")
        else:
            counts = f"repositories: {summary['repositories']}, checks made: {summary['checks']}"
            text = f"the last sweep ended at {iso(at)} ({counts})"
            yield Finding(OK, "sweep", text)
        for failure in summary["failures"]:
            yield Finding(FAILURE, "sweep", f"at {iso(at)}, it could not read {failure}", "see the message")
        yield from self._reader_roles(summary, at)

    def _reader_roles(self, summary: Mapping[str, Any], at: datetime) -> Iterator[Finding]:
        if self.installation.settings.reader_role is None:
            text = (
                "the accounts are not asked what runs: what only Lambda, Batch, rules or schedules use counts as unused"
            )
            yield Finding(WARNING, "live usage", text, "set workloads.live_usage = true")
            return
        problems = [each for each in summary["problems"] if each["reason"].startswith(_LIVE_PROBLEM)]
        for problem in problems:
            text = f"at {iso(at)}, {problem['account']}/{problem['region']}: {problem['reason']}"
            yield Finding(FAILURE, "live usage", text, problem["repair"])
        if not problems and summary["asked_what_runs"]:
            yield Finding(OK, "live usage", f"at {iso(at)}, no account refused to say what runs")

    def _schedule_of_the_sweep(self) -> Iterator[Finding]:
        found = [each for each in schedules(self.installation) if each["Name"] == _SWEEP]
        if not found:
            text = f"there is no schedule of the sweep in the group {self.installation.settings.schedule_group_name}"
            yield Finding(WARNING, "sweep", text, "apply the module shared_account with the sweep on")
        for schedule in found:
            if schedule.get("State") == "ENABLED":
                yield Finding(OK, "sweep", f"its schedule {schedule['Name']} is on")
            else:
                repair = "switch it on, or apply the module shared_account again"
                yield Finding(FAILURE, "sweep", f"its schedule {schedule['Name']} is off", repair)

    def _rules(self) -> Iterator[Finding]:
        bus = self.installation.settings.event_bus_name
        client = self.installation.session.client("events")
        for name, arguments, what in (
            (f"{bus}-task-definitions", {"EventBusName": bus}, "of task definitions that are deregistered"),
            (f"{bus}-image-pushes", {}, "of pushes, which prove what tags meant"),
        ):
            try:
                state = client.describe_rule(Name=name, **arguments).get("State")
            except client.exceptions.ResourceNotFoundException:
                state = "missing"
            if state and state.startswith("ENABLED"):
                yield Finding(OK, "rules", f"{name} is on")
            else:
                text = f"the rule {name} is {state or 'off'}: nothing is heard {what}"
                yield Finding(FAILURE, "rules", text, "enable it, or apply the module shared_account again")

    def _events(self) -> Iterator[Finding]:
        repair = (
            "see whether a trail logs management events in the workload accounts, and whether their rules are on; "
            "if nothing was deployed, all is well"
        )
        try:
            name = self.installation.name
            count = self._sums(_NAMESPACE, "EventsReceived", "service", [name], _EVENTS_WITHIN)[name]
        except DeniedError:
            yield from self._events_by_ledger(repair)
            return
        if count:
            yield Finding(OK, "events", f"{count:.0f} events came in the last {_EVENTS_WITHIN.days} days")
        else:
            yield Finding(WARNING, "events", f"no event came in the last {_EVENTS_WITHIN.days} days", repair)

    def _events_by_ledger(self, repair: str) -> Iterator[Finding]:
        """Where metrics cannot be read, what the aggregator does not show yet says when the last event came."""
        times = [each.registered_at for each in self.installation.ledger.awaiting(now=clock.now())]
        if times and clock.now() - max(times) <= _EVENTS_WITHIN:
            yield Finding(OK, "events", f"the last one that the ledger still has is of {iso(max(times))}")
        else:
            text = "the ledger has no registration of late, and you may not read metrics (cloudwatch:GetMetricData)"
            yield Finding(WARNING, "events", text, repair)

    def _dead_letters(self) -> Iterator[Finding]:
        client = self.installation.session.client("sqs")
        pages = client.get_paginator("list_queues").paginate(QueueNamePrefix=f"{self.installation.name}-")
        urls = sorted(url for page in pages for url in page.get("QueueUrls", ()) if url.endswith("-dead-letter"))
        if not urls:
            yield Finding(FAILURE, "dead letters", "there are no dead-letter queues", "apply the module shared_account")
        empty = 0
        for url in urls:
            wanted = ["ApproximateNumberOfMessages"]
            attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
            number, name = int(attributes["ApproximateNumberOfMessages"]), url.rpartition("/")[2]
            empty += not number
            if number:
                text = f"{name} holds {number} message{'' if number == 1 else 's'} that nobody could handle"
                yield Finding(FAILURE, "dead letters", text, "look why (README, Dead-letter queues), then redrive them")
        if urls and empty == len(urls):
            yield Finding(OK, "dead letters", f"all {empty} dead-letter queues are empty")

    def _pull_times(self) -> Iterator[Finding]:
        settings = self.installation.settings
        if settings.action is Action.REPORT:
            yield Finding(OK, "pull times", "with the action report, the functions read no manifests")
            return
        for region in sorted(settings.registry_regions):
            client = self.installation.session.client("ecr", region)
            if not hasattr(client, "list_pull_time_update_exclusions"):
                text = "this boto3 cannot say whether the functions' own reading counts as a pull"
                yield Finding(WARNING, "pull times", text, "install boto3 1.41.0 or newer")
                return
            excluded: list[str] = []
            request: dict[str, str] = {}
            while True:
                answer = client.list_pull_time_update_exclusions(**request)
                excluded += answer["pullTimeUpdateExclusions"]
                if not (token := answer.get("nextToken")):
                    break
                request["nextToken"] = token
            if settings.function_role_arn in excluded:
                yield Finding(OK, "pull times", f"{region}: what the functions read does not count as a pull")
            else:
                text = f"{region}: manifests that the functions read count as pulls, which keeps images longer"
                repair = (
                    f"aws ecr register-pull-time-update-exclusion --region {region} "
                    f"--principal-arn {settings.function_role_arn} (the first check that removes tries to)"
                )
                yield Finding(WARNING, "pull times", text, repair)

    @cached_property
    def _repositories(self) -> list[Repository]:
        session = self.installation.session
        found = opted_in_repositories(
            lambda region: session.client("resourcegroupstaggingapi", region), self.installation.settings
        )
        return list(found)

    def _opted_in(self) -> Iterator[Finding]:
        if self._repositories:
            yield Finding(OK, "repositories", f"{len(self._repositories)} opted in")
        else:
            tag = self.installation.settings.opt_in_tag
            repair = f"tag those that are to be cleaned up with {tag.key} = {tag.value}"
            yield Finding(WARNING, "repositories", "none has opted in: nothing is ever removed", repair)

    def _lifecycle_policies(self) -> Iterator[Finding]:
        having = []
        for repository in self._repositories:
            client = self.installation.session.client("ecr", repository.region)
            try:
                client.get_lifecycle_policy(registryId=repository.registry_id, repositoryName=repository.name)
            except (client.exceptions.LifecyclePolicyNotFoundException, client.exceptions.RepositoryNotFoundException):
                continue
            having.append(repository)
        if having:
            text = f"a lifecycle policy works on the same images, and does not ask who uses them: {_names(having)}"
            yield Finding(WARNING, "lifecycle policies", text, "delete the policy, or leave the repository out")
        else:
            yield Finding(OK, "lifecycle policies", "no opted-in repository has one")

    def _pull_through_caches(self) -> Iterator[Finding]:
        covered = []
        for region in sorted({repository.region for repository in self._repositories}):
            client = self.installation.session.client("ecr", region)
            pages = client.get_paginator("describe_pull_through_cache_rules").paginate()
            prefixes = [rule["ecrRepositoryPrefix"] for page in pages for rule in page["pullThroughCacheRules"]]
            covered += [
                repository
                for repository in self._repositories
                if repository.region == region and any(_covers(prefix, repository.name) for prefix in prefixes)
            ]
        if covered:
            text = (
                f"what is removed is fetched again when somebody pulls it, by a pull-through cache: {_names(covered)}"
            )
            yield Finding(WARNING, "pull-through caches", text, "none needed, but these fill themselves again")
        else:
            yield Finding(OK, "pull-through caches", "none fills an opted-in repository")

    def _sums(
        self, namespace: str, metric: str, dimension: str, values: Iterable[str], within: timedelta
    ) -> dict[str, float]:
        """The sum of a metric, by the value of its dimension."""
        names, now = list(values), clock.now()
        queries = [
            {
                "Id": f"m{number}",
                "ReturnData": True,
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": metric,
                        "Dimensions": [{"Name": dimension, "Value": name}],
                    },
                    "Period": 3600,
                    "Stat": "Sum",
                },
            }
            for number, name in enumerate(names)
        ]
        client = self.installation.session.client("cloudwatch")
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=now - within, EndTime=now
        )
        sums = dict.fromkeys(names, 0.0)
        for page in pages:
            for result in page["MetricDataResults"]:
                sums[names[int(result["Id"][1:])]] += sum(result.get("Values", ()))
        return sums


def _careful(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found += look()
    except DeniedError as error:
        text = f"not looked at, as you may not call {error.permission}"
        found.append(Finding(WARNING, subject, text, "ask for the permission (docs/command_line.md has a policy)"))
    except ThrottledError as error:
        found.append(Finding(WARNING, subject, f"not looked at: {error}", "try again later"))
    except AwsError as error:
        found.append(Finding(FAILURE, subject, str(error), "see the message"))
    except (BotoCoreError, ClientError) as error:
        found.append(Finding(WARNING, subject, f"not looked at: {error_of_sdk(error)}", "see the message"))
    return found


def _covers(prefix: str, name: str) -> bool:
    return prefix == _ALL_REPOSITORIES or name.startswith(f"{prefix.rstrip('/')}/")


def _names(repositories: list[Repository]) -> str:
    names = ", ".join(f"{each.region}/{each.name}" for each in repositories[:_NAMED])
    return f"{names} and {len(repositories) - _NAMED} more" if len(repositories) > _NAMED else names


def as_json(installation: Installation, findings: list[Finding]) -> str:
    """The format of docs/doctor.schema.json."""
    document = {
        "version": 1,
        "generated_at": iso(clock.now()),
        "installation": installation.name,
        "sound": not any(each.status == FAILURE for each in findings),
        "findings": [
            {"status": each.status, "subject": each.subject, "text": each.text, "repair": each.repair or None}
            for each in findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def show(findings: list[Finding], printer: Printer) -> None:
    """Print them for people."""
    printer.table(
        ["Status", "What", "Finding"],
        [
            [each.status, each.subject, f"{each.text}; repair: {each.repair}" if each.repair else each.text]
            for each in findings
        ],
    )
    failures = sum(each.status == FAILURE for each in findings)
    warnings = sum(each.status == WARNING for each in findings)
    printer.line()
    printer.line(
        f"{_count(failures, FAILURE)}, {_count(warnings, WARNING)}." if failures + warnings else "All is well."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
