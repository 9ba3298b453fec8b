"""An AWS that runs in this process: moto's server with what moto lacks, on a clock that can be moved."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import boto3
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from local_aws import ecr
from local_aws.alarms import Alarms
from local_aws.batch import JobDefinitions
from local_aws.behaviour import Behaviour, Faults
from local_aws.cheap_calls import make_calls_cheap
from local_aws.config import Config
from local_aws.dynamodb import change_keys, make_answers_cheap, make_transactions_cheap
from local_aws.ecs import CloudTrail
from local_aws.ecs_daemons import Daemons
from local_aws.ecs_tasks import FailedPull, Tasks
from local_aws.eventbridge import EventBridge
from local_aws.functions import Functions, Invocation
from local_aws.logs import QueryDefinitions, associate_keys
from local_aws.queues import Queues
from local_aws.scheduler import Scheduler
from local_aws.server import Gate, Server
from local_aws.stack_sets import StackSets
from local_aws.tagging import show_repositories
from local_aws.world import LostEvent, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from local_aws.calls import ApiCall
    from local_aws.clock import Clock


class LocalAws:
    """A local AWS, to be used as a context manager; one per process at a time.

    `region` is where sessions are by default. `start` is the time at which the clock starts (now, by default). With
    `port` 0 a free port is taken.
    """

    def __init__(
        self,
        region: str = "eu-central-1",
        *,
        behaviour: Behaviour | None = None,
        start: datetime | None = None,
        port: int = 0,
    ) -> None:
        self.region = region
        self._start_time = start
        self._port = port
        self.behaviour = behaviour or Behaviour()
        self._sessions: dict[tuple[str, str | None], boto3.Session] = {}

    def __enter__(self) -> Self:
        BackendDict.reset()
        reset_model_data()
        self._world = World(self.region, self.behaviour, self._start_time)
        self._functions = Functions(self._world)
        self._queues = Queues(self._world, self._functions)
        make_transactions_cheap(self._world.patches)
        make_answers_cheap(self._world.patches)
        change_keys(self._world.patches)
        show_repositories(self._world.patches)
        events = EventBridge(self._world, self._queues)

        def emit(account: str, region: str, detail: dict[str, Any]) -> None:
            events.emit(account, region, "aws.ecr", "ECR Image Action", detail)

        for owner, name, replacement in ecr.patches(self.behaviour, emit, self._world.identity.principal_arn):
            self._world.patches.set(owner, name, replacement)
        self._scheduler = Scheduler(self._world, self._queues)
        self._cloudtrail = CloudTrail(self._world, events)
        self._config = Config(self._world, events)
        self._tasks = Tasks(self._world, self._config.record_service)
        events.run_task = self._scheduler.run_task = self._tasks.run_for_target
        self._alarms = Alarms(self._world, self._functions)
        QueryDefinitions(self._world)
        associate_keys(self._world.patches)
        Daemons(self._world, self._tasks)
        JobDefinitions(self._world)
        StackSets(self._world, self.session)
        gate = Gate(self._world)
        gate.observers += [self._config.observe, self._cloudtrail.observe]
        gate.kill_function = self._functions.kill
        make_calls_cheap(self._world.patches)
        self._world.clock.start()
        self._server = Server(gate, self._port)
        self._world.endpoint_url = self._server.url
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._functions.stop()
        self._server.stop()
        self._world.clock.stop()
        self._world.patches.undo()
        BackendDict.reset()
        reset_model_data()

    @property
    def endpoint_url(self) -> str:
        """Where every service of every region is reached."""
        return self._world.endpoint_url

    @property
    def clock(self) -> Clock:
        """The clock of this process and of all functions; `advance` moves it."""
        return self._world.clock

    @property
    def faults(self) -> Faults:
        """Faults to switch on and off."""
        return self._world.faults

    @property
    def calls(self) -> list[ApiCall]:
        """Every API call so far, oldest first; the list may be cleared."""
        return self._world.calls

    @property
    def lost_events(self) -> list[LostEvent]:
        """What could be delivered neither to its target nor to a dead-letter queue."""
        return self._world.lost_events

    @property
    def failed_pulls(self) -> list[FailedPull]:
        """Every task of ECS that could not start because its image could not be pulled; the list may be cleared."""
        return self._tasks.failed_pulls

    @property
    def alarms(self) -> Alarms:
        """The metrics and alarms of CloudWatch; alarms are evaluated by `watch`."""
        return self._alarms

    @property
    def organization_id(self) -> str:
        """The organization of all accounts; the account created first manages it."""
        return self._world.organization_id

    @property
    def trail_accounts(self) -> set[str] | None:
        """The accounts that have a trail; None (the default) means all."""
        return self._cloudtrail.trail_accounts

    @trail_accounts.setter
    def trail_accounts(self, accounts: set[str] | None) -> None:
        self._cloudtrail.trail_accounts = accounts

    def create_account(self, account: str) -> None:
        """Create an account of the organization, with the administrators' role OrganizationAccountAccessRole."""
        self._world.identity.create_account(account)

    def terraform_environment(self, account: str) -> dict[str, str]:
        """The variables that let Terraform, or any AWS client, work here as the account's administrator."""
        credentials = self._world.identity.admin_credentials(account)
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def session(self, account: str, region: str | None = None) -> boto3.Session:
        """A session of the account's administrator whose clients talk to this local AWS."""
        # Each session reads the models of its services anew, which takes longer than most calls.
        if (account, region) not in self._sessions:
            self._sessions[account, region] = self._new_session(account, region)
        return self._sessions[account, region]

    def _new_session(self, account: str, region: str | None) -> boto3.Session:
        credentials = self._world.identity.admin_credentials(account)
        session = boto3.Session(
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            region_name=region or self.region,
        )
        provider = session._session.get_component("config_store")
        provider.set_config_variable("endpoint_url", self.endpoint_url)
        return session

    def advance(self, duration: timedelta) -> None:
        """Let time pass: go from one thing that is due to the next, and do it, until `duration` is over."""
        target = self.clock.now() + duration
        while True:
            self.run_until_idle()
            due = self._next_due()
            if due is None or due > target:
                break
            self.clock.move_to(due)
        self.clock.move_to(target)
        self.run_until_idle()

    def watch(self, duration: timedelta, every: timedelta = timedelta(minutes=5)) -> None:
        """Let time pass, as `advance` does, and evaluate all alarms so often, and in the end."""
        self._alarms.evaluate()
        while duration > timedelta():
            step = min(every, duration)
            self.advance(step)
            self._alarms.evaluate()
            duration -= step

    def run_until_idle(self) -> None:
        """Do all that is due now, and what becomes due by it: deliver, fire, run functions."""
        while True:
            if self._world.errors:
                raise self._world.errors.pop(0)
            if item := self._world.agenda.pop_due():
                if not item.cancelled:
                    item.action()
            elif not self._queues.run_due():
                return

    def replace_tasks(
        self, account: str, region: str | None = None, *, service: str | None = None, task: str | None = None
    ) -> list[str]:
        """Let running tasks of ECS services end, as when their hosts fail; gives the ARNs of those that ended.

        Others are started at once, and pull their images after `Behaviour.task_start_delay`: see `failed_pulls`. It
        concerns all tasks of the account and region, those of one service (by name or ARN), or one task (by ARN).
        """
        return self._tasks.replace(account, region or self.region, service=service, task=task)

    def roll_back_deployment(self, account: str, service: str, region: str | None = None) -> None:
        """Let the deployment in progress of a service of ECS (by name or ARN) go back to its source revision."""
        self._tasks.roll_back(account, region or self.region, service)

    def stop_recording(self, account: str, region: str | None = None) -> None:
        """Stop the Config recorders of an account and region."""
        self._config.stop_recording(account, region or self.region)

    def register_many(
        self, account: str, definitions: Iterable[tuple[str, Sequence[str]]], region: str | None = None
    ) -> list[str]:
        """Register task definitions, each a family and the images of its containers; gives their ARNs.

        For benchmarks: it is as if they had been registered long ago. No event tells of them, and where a recorder
        records them, the aggregator shows them at once.
        """
        return self._config.register_many(account, region or self.region, definitions)

    def record_resource(
        self, account: str, region: str, resource_type: str, name: str, configuration: dict[str, Any]
    ) -> str:
        """Create or change a resource of a type that is not emulated, for Config to record; gives its ARN.

        `configuration` is what Config's schema of the type says, as in `{"PrimaryContainer": {"Image": ...}}`.
        """
        return self._config.record_resource(account, region, resource_type, name, configuration)

    def delete_resource(self, account: str, region: str, resource_type: str, name: str) -> None:
        """Delete what `record_resource` created."""
        self._config.delete_resource(account, region, resource_type, name)

    def drop_image(self, account: str, repository: str, digest: str, region: str | None = None) -> None:
        """Take an image out of its repository although an index may hold it, which no call of ECR's does."""
        ecr.drop_image(account, region or self.region, repository, digest)

    def invocations(self, function: str | None = None) -> list[Invocation]:
        """The runs of a function (or of all), oldest first."""
        return [each for each in self._functions.invocations if function in (None, each.function)]

    def _next_due(self) -> datetime | None:
        dues = [due for due in (self._world.agenda.next_due(), self._queues.next_due()) if due is not None]
        return min(dues, default=None)
