"""What teams do: each deed changes AWS, tells the model, and sends the events that AWS would send."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from safety.model import (
    DRAINING,
    STOPPED_TASKS_SHOWN_FOR,
    Code,
    Consumer,
    Deployment,
    Function,
    Image,
    Job,
    Key,
    Kind,
    Model,
    Pointer,
    Reference,
    Repository,
    Rollout,
    Runner,
    Task,
    TaskDefinition,
    tag_pairs,
)
from safety.parts import SERVICE, TASK_DEFINITION, TASK_SET, Place
from safety.workloads import Shown
from safety.world import PLACES, REGION, SHARED, Fate, Run, World, ecr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"
_SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
_SIGNED = "application/vnd.dev.cosign.simplesigning.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_NO_TIME = timedelta()
_CHART = "application/vnd.cncf.helm.config.v1+json"


class Teams:
    """Pushes, deploys and so on in a world, and keeps its model true."""

    def __init__(self, world: World, model: Model) -> None:
        self.world = world
        self.model = model
        self._number = 0
        self._revisions: dict[tuple[Place, str], int] = {}
        self._told: dict[str, TaskDefinition] = {}
        world.workloads.model = model
        world.on_event = self._event_handled
        world.on_check = self._check_answered

    # Repositories

    def repository(
        self, name: str, mutability: str = "MUTABLE", movable: str = "", *, opted_in: bool = True
    ) -> Repository:
        repository = Repository(name, mutability, movable, opted_in)
        exclusion = [{"filterType": "WILDCARD", "filter": movable}] if movable else None
        arguments: dict[str, Any] = {"imageTagMutabilityExclusionFilters": exclusion} if exclusion else {}
        ecr().create_repository(
            repositoryName=name, imageTagMutability=mutability, tags=_tags(tag_pairs(repository)), **arguments
        )
        self.model.repositories[name] = repository
        return repository

    def opt(self, repository: Repository, *, opted_in: bool) -> None:
        self.world.note(f"{repository.name} opts {'in' if opted_in else 'out'}")
        self._tag(repository, lambda: setattr(repository, "opted_in", opted_in))

    def set_tag(self, repository: Repository, key: str, value: str | None) -> None:
        """Set one of the repository's own settings, or take it back."""
        self.world.note(f"{repository.name} gets the tag {key} = {value}")

        def change() -> None:
            repository.settings.pop(f"ecr-cleanup:{key}", None)
            if value is not None:
                repository.settings[f"ecr-cleanup:{key}"] = value

        self._tag(repository, change)

    def _tag(self, repository: Repository, change: Any) -> None:
        before = tag_pairs(repository)
        change()
        after = tag_pairs(repository)
        arn = f"arn:aws:ecr:{REGION}:{SHARED}:repository/{repository.name}"
        if gone := sorted(before.keys() - after.keys()):
            ecr().untag_resource(resourceArn=arn, tagKeys=gone)
        if after:
            ecr().tag_resource(resourceArn=arn, tags=_tags(after))

    # Images

    def push(self, repository: Repository, *tags: str, fate: Fate = Fate.ON_TIME) -> Image:
        """Push a new image for one platform."""
        return self._put(repository, _manifest(_CONFIG, self._content()), tags, Kind.IMAGE, fate=fate)

    def copy(self, image: Image, repository: Repository, *tags: str) -> Image:
        """Push an image that is there into another repository, as a pipeline does that promotes it."""
        there = repository.images.get(image.key.digest)
        if there:
            return there
        text = self.world.stored(image.key.repository)[image.key.digest].image_manifest
        return self._put(repository, text, tags, Kind.IMAGE, fate=Fate.ON_TIME)

    def push_index(
        self,
        repository: Repository,
        *tags: str,
        shared: Iterable[str] = (),
        platforms: int = 2,
        fate: Fate = Fate.ON_TIME,
    ) -> Image:
        """Push an index with its children and, as builds do by default, an attestation of the first."""
        children = [self.push(repository, fate=fate).key.digest for _ in range(platforms)]
        children += [digest for digest in shared if digest in repository.images]
        entries = [_descriptor(digest) for digest in children]
        attestation = self.push(repository, fate=fate).key.digest
        note = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": children[0]}
        entries.append(_descriptor(attestation) | {"annotations": note})
        manifest = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
        return self._put(repository, manifest, tags, Kind.INDEX, children=(*children, attestation), fate=fate)

    def push_artifact(self, repository: Repository, *tags: str, fate: Fate = Fate.ON_TIME) -> Image:
        """Push what is no image: a chart."""
        return self._put(repository, _manifest(_CHART, self._content()), tags, Kind.ARTIFACT, fate=fate)

    def sign(self, image: Image, *, by_tag: bool = False, fate: Fate = Fate.ON_TIME) -> Image:
        """Push a signature: a referrer, or a tag by cosign's scheme (which is there once only where tags are fixed)."""
        repository = self.model.repositories[image.key.repository]
        tag = image.key.digest.replace(":", "-") + ".sig"
        tags = (tag,) if by_tag else ()
        if by_tag and tag in repository.tags and not self._can_move(repository, tag):
            return repository.images[repository.tags[tag]]
        if by_tag:
            # Such a signature has the configuration of an image.
            manifest = _manifest(_CONFIG, self._content(), layer=_SIGNED)
        else:
            manifest = _manifest(_EMPTY, self._content())
            manifest |= {"artifactType": _SIGNATURE, "subject": _descriptor(image.key.digest)}
        return self._put(repository, manifest, tags, Kind.ARTIFACT, subject=image.key.digest, fate=fate)

    def retag(self, image: Image, tag: str, *, fate: Fate = Fate.ON_TIME) -> None:
        """Give an image that is there a tag, and take it from the image that had it."""
        repository = self.model.repositories[image.key.repository]
        stored = self.world.stored(repository.name)[image.key.digest]
        self._put_tag(repository, image.key.digest, stored.image_manifest, tag, fate)

    def pull(self, image: Image) -> None:
        """Somebody whom nobody knows pulls an image; the registry records it once a day."""
        if image.archived_at:
            return
        repository, digest = image.key
        stored = self.world.stored(repository)[digest]
        before = stored.pulled_at
        ecr().batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
        image.truly_pulled_at = self.world.now
        if stored.pulled_at != before:
            image.pulled_at, image.pulled_moment = stored.pulled_at, self.world.tick()
        self.world.note(f"pull of {repository}@{digest[7:15]}")

    def _put(
        self,
        repository: Repository,
        manifest: Mapping[str, Any] | str,
        tags: tuple[str, ...],
        kind: Kind,
        *,
        children: tuple[str, ...] = (),
        subject: str | None = None,
        fate: Fate,
    ) -> Image:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        image = Image(Key(repository.name, digest), kind, self.world.now, children, subject)
        # Where a tag cannot move, the build gives another one.
        taken = [tag for tag in tags if tag in repository.tags and not self._can_move(repository, tag)]
        tags = tuple(f"{tag}.{self.world.tick()}" if tag in taken else tag for tag in tags)
        if not tags:
            ecr().put_image(repositoryName=repository.name, imageManifest=text)
            self._tell_push(repository, digest, "", fate)
        repository.images[digest] = image
        self.world.note(f"push of {kind.value} {repository.name}@{digest[7:15]} {list(tags)}")
        for tag in tags:
            self._put_tag(repository, digest, text, tag, fate)
        return image

    def _put_tag(self, repository: Repository, digest: str, manifest: str, tag: str, fate: Fate) -> None:
        if repository.tags.get(tag) == digest or (tag in repository.tags and not self._can_move(repository, tag)):
            return
        repository.moved |= tag in repository.tags
        if (before := repository.images.get(repository.tags.get(tag, ""))) and tag.startswith("sha256-"):
            # Nothing says any more what it signs; what is left is untagged and has the configuration of an image.
            before.subject, before.kind = None, Kind.IMAGE
        ecr().put_image(repositoryName=repository.name, imageManifest=manifest, imageTag=tag)
        repository.tags[tag] = digest
        repository.tag_moments[tag] = self.world.tick()
        self._tell_push(repository, digest, tag, fate)
        self.world.note(f"{repository.name}:{tag} means {digest[7:15]} now")
        self.model.touch()

    def _can_move(self, repository: Repository, tag: str) -> bool:
        """An owner who declared that tags never move holds to it."""
        return repository.can_move(tag) and not self.model.tags_never_move(repository)

    def _tell_push(self, repository: Repository, digest: str, tag: str, fate: Fate) -> None:
        if not self.model.complete:
            return
        detail = {
            "result": "SUCCESS",
            "repository-name": repository.name,
            "image-digest": digest,
            "action-type": "PUSH",
            **({"image-tag": tag} if tag else {}),
        }
        event_id = self._emit(Place(SHARED, REGION), "aws.ecr", "ECR Image Action", detail, fate)
        repository.pushes.setdefault(tag, []).append(event_id)

    def _content(self) -> str:
        self._number += 1
        return f"content {self._number}"

    # Task definitions

    def register(
        self,
        place: Place,
        *references: Reference,
        family: str = "app",
        fate: Fate = Fate.ON_TIME,
        large: bool = False,
        is_consistent: bool = True,
    ) -> TaskDefinition:
        """Register a revision. A `large` one exceeds what CloudTrail puts into an event."""
        revision = self._revisions[place, family] = self._revisions.get((place, family), 0) + 1
        arn = f"arn:aws:ecs:{REGION}:{place.account}:task-definition/{family}:{revision}"
        definition = TaskDefinition(
            arn, place, references, self.world.now, moment=self.world.tick(), is_consistent=is_consistent
        )
        self.model.task_definitions.append(definition)
        self.world.note(f"register {arn} {[each.text for each in references]} ({fate.name})")
        self._record_task_definition(definition)
        definition.registration = self._tell_call("RegisterTaskDefinition", definition, fate, large=large)
        self.model.touch()
        return definition

    def deregister(self, definition: TaskDefinition, *, fate: Fate = Fate.ON_TIME, large: bool = False) -> None:
        """Deregister a revision, for good."""
        if not definition.active:
            return
        definition.active = False
        definition.deregistered_at = self.world.now
        definition.meant_at_end = self.model.meanings(definition.references)
        self.world.tick()
        self.world.note(f"deregister {definition.arn} ({fate.name})")
        self._record_task_definition(definition)
        definition.deregistration = self._tell_call("DeregisterTaskDefinition", definition, fate, large=large)

    def _record_task_definition(self, definition: TaskDefinition) -> None:
        family = definition.arn.rpartition("/")[2].partition(":")[0]
        is_latest = definition.arn.endswith(f":{self._revisions[definition.place, family]}")
        if not definition.active and not is_latest and not self.world.records_old_deregistrations:
            return
        configuration = {
            "TaskDefinitionArn": definition.arn,
            "Family": family,
            "Status": "ACTIVE" if definition.active else "INACTIVE",
            "ContainerDefinitions": [
                {"Name": f"c{number}", "Image": reference.text}
                for number, reference in enumerate(definition.references)
            ],
        }
        self.world.aggregator.record(definition.place, TASK_DEFINITION, definition.arn, configuration, self.world.now)

    def _tell_call(self, name: str, definition: TaskDefinition, fate: Fate, *, large: bool) -> str:
        containers = [
            {"name": f"c{number}", "image": reference.text} for number, reference in enumerate(definition.references)
        ]
        arn = definition.arn
        family = arn.rpartition("/")[2].partition(":")[0]
        request: dict[str, Any] = {"family": family, "containerDefinitions": containers}
        if name == "DeregisterTaskDefinition":
            request = {"taskDefinition": arn}
        status = "ACTIVE" if definition.active else "INACTIVE"
        described = {"taskDefinitionArn": arn, "status": status, "containerDefinitions": containers}
        response = None if large else {"taskDefinition": described}
        detail = {
            "eventSource": "ecs.amazonaws.com",
            "eventName": name,
            "eventTime": f"{self.world.now:%Y-%m-%dT%H:%M:%SZ}",
            "requestParameters": request,
            "responseElements": response,
        }
        event_id = self._emit(definition.place, "aws.ecs", "AWS API Call via CloudTrail", detail, fate)
        self._told[event_id] = definition
        if large:
            self.world.may_fail.add(event_id)
        return event_id

    # Services and task sets

    def deploy(
        self,
        definition: TaskDefinition,
        kind: str = SERVICE,
        *,
        desired: int = 1,
        takes: timedelta = _NO_TIME,
        has_revisions: bool = True,
    ) -> Runner:
        """Create a service, or a task set, of a task definition. Its first task takes a while until it pulls."""
        self._number += 1
        noun = "service" if kind == SERVICE else "task-set"
        arn = f"arn:aws:ecs:{REGION}:{definition.place.account}:{noun}/default/r{self._number}"
        runner = Runner(kind, arn, definition.place, self._deployment(definition), desired)
        runner.has_revisions = has_revisions and kind == SERVICE
        self.model.clusters.add((definition.place, "default"))
        self.model.runners.append(runner)
        ends_at = self.world.now + (takes + DRAINING if desired else _NO_TIME)
        runner.rollouts.append(Rollout(runner.deployment.number, [], runner.deployment, ends_at))
        self._record_runner(runner)
        self.world.note(f"{noun} {runner.name} of {definition.arn}, {desired} desired, {takes} until it pulls")
        if desired:
            self._start(runner, takes)
        self.model.touch()
        return runner

    def update(
        self,
        runner: Runner,
        definition: TaskDefinition,
        *,
        takes: timedelta = _NO_TIME,
        bakes: timedelta = _NO_TIME,
        keeps_digests: bool = False,
    ) -> None:
        """Let a service go over to a task definition, or deploy the same once more.

        What it ran drains for an hour, or ends at once, and may be gone back to as long as the new tasks `bakes`. AWS
        does not say whether the same task definition keeps what was resolved.
        """
        old, now = runner.deployment, self.world.now
        # Whatever is deployed today has revisions.
        runner.has_revisions = runner.kind == SERVICE
        runner.deployment = new = self._deployment(definition)
        if keeps_digests and old.task_definition is definition:
            new.digests, new.resolved_at = dict(old.digests), self.world.tick()
        ends_at = now + takes + (bakes or DRAINING) if runner.desired and runner.kind == SERVICE else now
        rollout = Rollout(new.number, [*runner.leaves(now), old], new, ends_at, is_baking=bool(bakes))
        if runner.rollout:
            runner.rollout.ends_at = min(runner.rollout.ends_at, now)
        runner.rollouts.append(rollout)
        self._record_runner(runner)
        self.world.note(f"{runner.name} goes over to {definition.arn} until {ends_at:%m-%d %H:%M}")
        if runner.desired:
            self._start(runner, takes)
            if bakes:
                self.world.later(takes, lambda: self._end_tasks_of_sources(rollout))
            self.world.later(ends_at - now, lambda: self._end_tasks_of_sources(rollout))
        self.model.touch()

    def roll_back(self, runner: Runner) -> None:
        """Let a deployment in progress go back to what the service ran before."""
        rollout, now = runner.rollout, self.world.now
        if rollout is None or rollout.back_to or not runner.leaves(now):
            return
        runner.deployment = rollout.back_to = rollout.sources[0]
        rollout.ends_at = now + DRAINING
        self._record_runner(runner)
        self.world.note(f"{runner.name} goes back to {runner.deployment.task_definition.arn}")
        if runner.desired and not self._tasks_of(runner.deployment):
            self._start(runner, _NO_TIME)
        for deployment in (*rollout.sources[1:], rollout.target):
            self._end_tasks(deployment)
        # What it goes back from is not started again.
        rollout.sources = [runner.deployment]
        self.model.touch()

    def scale(self, runner: Runner, desired: int, *, takes: timedelta = _NO_TIME) -> None:
        """Let a service have no tasks, or have one again."""
        if runner.desired == desired:
            return
        runner.desired = desired
        self.world.note(f"{runner.name} is scaled to {desired}")
        self._record_runner(runner)
        if desired:
            self._start(runner, takes)
        else:
            for deployment in (runner.deployment, *runner.leaves(self.world.now)):
                self._end_tasks(deployment)
            if runner.rollout:
                runner.rollout.ends_at = min(runner.rollout.ends_at, self.world.now)
        self.model.touch()

    def replace_task(self, runner: Runner, *, takes: timedelta = _NO_TIME) -> None:
        """A task of a service ends, and the service starts another, of the same deployment."""
        if runner.desired:
            self.world.note(f"a task of {runner.name} is replaced")
            self._end_tasks(runner.deployment)
            self._start(runner, takes)

    def stop(self, runner: Runner) -> None:
        """Delete a service or a task set."""
        self.model.runners.remove(runner)
        for task in self.model.tasks:
            if task.runner is runner:
                self._end(task)
        self.world.aggregator.record(runner.place, runner.kind, runner.arn, None, self.world.now)
        self.world.note(f"{runner.name} is deleted")

    def _deployment(self, definition: TaskDefinition) -> Deployment:
        self._number += 1
        return Deployment(definition, self._number, self.world.tick())

    # Tasks

    def run_task(self, definition: TaskDefinition, *, takes: timedelta = _NO_TIME) -> Task:
        """Run a standalone task."""
        self.model.clusters.add((definition.place, "jobs"))
        self.world.note(f"a standalone task of {definition.arn}, {takes} until it pulls")
        task = self._task(definition, "jobs", None)
        if self.world.habits.resolves_early:
            task.resolved = self._resolve(definition)
        self.world.later(takes, lambda: self._pull(task))
        self.model.touch()
        return task

    def end_task(self, task: Task) -> None:
        """A standalone task ends."""
        self.world.note(f"the standalone task {task.arn} ends")
        self._end(task)

    def _start(self, runner: Runner, takes: timedelta) -> None:
        """Start a task of what a service runs."""
        deployment = runner.deployment
        task = self._task(deployment.task_definition, "default", runner)
        if self.world.habits.resolves_early:
            self._establish(deployment)
        self.world.later(takes, lambda: self._pull(task))

    def _task(self, definition: TaskDefinition, cluster: str, runner: Runner | None) -> Task:
        now = self.world.now
        self.model.tasks = [
            task
            for task in self.model.tasks
            if task.stopped_at is None or task.stopped_at + STOPPED_TASKS_SHOWN_FOR > now
        ]
        self._number += 1
        arn = f"arn:aws:ecs:{REGION}:{definition.place.account}:task/{cluster}/{self._number:032x}"
        task = Task(arn, definition.place, definition, self.world.tick(), runner, runner.deployment if runner else None)
        self.model.tasks.append(task)
        return task

    def _establish(self, deployment: Deployment) -> None:
        """The first task of a deployment says for all of them which digests its tags mean."""
        definition = deployment.task_definition
        if definition.is_consistent and not deployment.resolved_at:
            deployment.digests = self._resolve(definition)
            deployment.resolved_at = self.world.tick()

    def _resolve(self, definition: TaskDefinition) -> dict[int, Key]:
        found = {number: self._pinned(reference) for number, reference in enumerate(definition.references)}
        return {number: key for number, key in found.items() if key}

    def _pinned(self, reference: Reference) -> Key | None:
        """What ECS makes of a reference: of an index, perhaps the image for the platform."""
        key = self.model.meaning(reference)
        image = self.model.find(key) if key else None
        if key and image and image.children and not reference.digest and self.world.habits.shown is Shown.CHILD:
            return Key(key.repository, image.children[0])
        return key

    def _pull(self, task: Task) -> None:
        """A task pulls its images, by digest where the deployment, or what it found before, has one."""
        if task.stopped_at:
            return
        deployment, now = task.deployment, self._resolve(task.task_definition)
        if deployment:
            self._establish(deployment)
        pulled = {**now, **(deployment.digests if deployment else task.resolved)}
        missing = [key for key in pulled.values() if key.digest not in self.model.repositories[key.repository].images]
        if missing:
            self.world.note(f"CannotPullContainerError: {missing} for {task.arn}")
            if not self.model.excused_keys.issuperset(missing):
                self.world.violate(f"{task.arn} cannot pull {missing[0]}, which was removed without an excuse")
            self._end(task)
            return
        task.pulled, task.pulled_at = pulled, self.world.tick()
        if deployment:
            deployment.has_pulled = True
        self.model.touch()

    def _tasks_of(self, deployment: Deployment) -> list[Task]:
        return [task for task in self.model.tasks if task.deployment is deployment and not task.stopped_at]

    def _end(self, task: Task) -> None:
        task.stopped_at = task.stopped_at or self.world.now

    def _end_tasks(self, deployment: Deployment) -> None:
        for task in self._tasks_of(deployment):
            self._end(task)

    def _end_tasks_of_sources(self, rollout: Rollout) -> None:
        """The deployment has come so far that only its target runs, unless it went back."""
        if rollout.back_to is None:
            for deployment in rollout.sources:
                self._end_tasks(deployment)

    def _record_runner(self, runner: Runner) -> None:
        name = "ServiceArn" if runner.kind == SERVICE else "Id"
        configuration = {
            name: runner.arn,
            "Cluster": f"arn:aws:ecs:{REGION}:{runner.place.account}:cluster/default",
            "TaskDefinition": runner.deployment.task_definition.arn,
            "DesiredCount": runner.desired,
        }
        self.world.aggregator.record(runner.place, runner.kind, runner.arn, configuration, self.world.now)

    # Other consumers

    def consume(self, place: Place, kind: str, reference: Reference) -> Consumer:
        """Create something else that names an image."""
        self._number += 1
        service, noun = {
            "AWS::AppRunner::Service": ("apprunner", "service"),
            "AWS::SageMaker::Model": ("sagemaker", "model"),
            "AWS::CodeBuild::Project": ("codebuild", "project"),
        }[kind]
        arn = f"arn:aws:{service}:{place.region}:{place.account}:{noun}/x{self._number}"
        consumer = Consumer(kind, arn, place, reference)
        self.model.consumers.append(consumer)
        self._record_consumer(consumer)
        self.world.note(f"{kind} x{self._number} names {reference.text}")
        self.model.touch()
        return consumer

    def end(self, consumer: Consumer) -> None:
        self.model.consumers.remove(consumer)
        self.world.aggregator.record(consumer.place, consumer.kind, consumer.arn, None, self.world.now)
        self.world.note(f"{consumer.arn.rpartition('/')[2]} is deleted")

    def _record_consumer(self, consumer: Consumer) -> None:
        image = consumer.reference.text
        configurations: dict[str, dict[str, Any]] = {
            "AWS::AppRunner::Service": {
                "Status": "RUNNING",
                "SourceConfiguration": {"ImageRepository": {"ImageIdentifier": image, "ImageRepositoryType": "ECR"}},
            },
            "AWS::SageMaker::Model": {"PrimaryContainer": {"Image": image}},
            "AWS::CodeBuild::Project": {"environment": {"image": image, "type": "LINUX_CONTAINER"}},
        }
        configuration = configurations[consumer.kind]
        self.world.aggregator.record(consumer.place, consumer.kind, consumer.arn, configuration, self.world.now)

    # Lambda, Batch, rules and schedules

    def set_code(self, place: Place, reference: Reference, function: Function | None = None) -> Function:
        """Create a Lambda function, or set the code of one; the tag is resolved now."""
        key = self.model.meaning(reference)
        if key is None:
            raise ValueError(f"there is no image {reference.text}")
        if function is None:
            self._number += 1
            arn = f"arn:aws:lambda:{place.region}:{place.account}:function:f{self._number}"
            function = Function(arn, place, {})
            self.model.functions.append(function)
        function.versions["$LATEST"] = Code(reference, key, self.world.tick())
        self.world.note(f"{function.arn} runs {reference.text} ({key.digest[7:15]})")
        self.model.touch()
        return function

    def publish(self, function: Function) -> None:
        """Publish a version, which keeps what $LATEST has now."""
        function.published += 1
        function.versions[str(function.published)] = function.versions["$LATEST"]
        self.world.note(f"{function.arn} is published as {function.published}")

    def delete_version(self, function: Function, version: str) -> None:
        """Delete a published version, or with $LATEST the function."""
        self.world.note(f"{function.arn}:{version} is deleted")
        if version == "$LATEST":
            self.model.functions.remove(function)
        else:
            del function.versions[version]

    def define_job(self, place: Place, reference: Reference) -> Job:
        """Register a job definition."""
        self._number += 1
        arn = f"arn:aws:batch:{place.region}:{place.account}:job-definition/job{self._number}:1"
        job = Job(arn, place, reference, self.world.tick())
        self.model.jobs.append(job)
        self.world.note(f"job{self._number} names {reference.text}")
        self.model.touch()
        return job

    def end_job(self, job: Job) -> None:
        """Deregister a job definition."""
        self.model.jobs.remove(job)
        self.world.note(f"{job.arn} is deregistered")

    def point(self, kind: str, definition: TaskDefinition) -> None:
        """Make a `rule`, a `schedule` with a target of its own kind, or one with a universal target (`call`)."""
        self._number += 1
        self.model.clusters.add((definition.place, "default"))
        pointer = Pointer(kind, f"{kind}-{self._number}", definition.place, definition)
        self.model.pointers.append(pointer)
        self.world.note(f"{pointer.name} runs {definition.arn}")

    # Recorders

    def stop_recorder(self, place: Place) -> None:
        self.world.note(f"the recorder of {place.account} stops")
        self.world.aggregator.stop_recorder(place, self.world.now)

    def start_recorder(self, place: Place) -> None:
        """Start a recorder: it records what exists, of task definitions those that are ACTIVE."""
        aggregator, now = self.world.aggregator, self.world.now
        if aggregator.recording[place]:
            return
        self.world.note(f"the recorder of {place.account} starts")
        aggregator.start_recorder(place, now)
        for definition in self.model.task_definitions:
            if definition.place == place and definition.active:
                self._record_task_definition(definition)
        there: set[str] = set()
        for runner in self.model.runners:
            if runner.place == place:
                self._record_runner(runner)
                there.add(runner.arn)
        for consumer in self.model.consumers:
            if consumer.place == place:
                self._record_consumer(consumer)
                there.add(consumer.arn)
        kinds = (SERVICE, TASK_SET, *_OTHER_KINDS)
        for kind, arn in aggregator.recorded(place, kinds):
            if arn not in there:
                aggregator.record(place, kind, arn, None, now)

    # What the functions were told

    def _emit(self, place: Place, source: str, detail_type: str, detail: Mapping[str, Any], fate: Fate) -> str:
        now = self.world.now
        event = {
            "account": place.account,
            "region": place.region,
            "source": source,
            "detail-type": detail_type,
            "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "detail": detail,
        }
        return self.world.emit(event, fate)

    def _event_handled(self, event_id: str) -> None:
        definition = self._told.get(event_id)
        if definition is None:
            return
        definition.told |= self.model.meanings(definition.references)
        if event_id == definition.registration:
            self.world.note(f"event handled: {definition.arn} was registered")
            return
        self.world.note(f"event handled: {definition.arn} was deregistered")
        # An event that comes late finds what its tags mean now; of those that moved nothing is demanded.
        for key in definition.meant_at_end & self.model.meanings(definition.references):
            self.model.known(key, definition.deregistered_at)
            if self.model.repositories[key.repository].opted_in and not self.world.check_is_pending(str(key)):
                self.world.violate(f"{definition.arn} was deregistered, and there is no check of {key}")

    def _check_answered(self, image: str, run: Run) -> None:
        """Whoever took a check has answered it, or put it back."""
        answers = [answer for answer in run.answers if answer["image"] == image]
        if not answers:
            self.world.violate(f"the check of {image} was taken and not answered")
        elif answers[-1]["verdict"] == "postpone" and not self.world.check_is_pending(image):
            self.world.violate(f"the check of {image} was postponed and lost ({answers[-1]['rule']})")
        repository, _, digest = image.partition(f"{SHARED}/{REGION}/")[2].partition("@")
        key = Key(repository, digest)
        for answer in answers:
            if answer["rule"] == "in_use":
                self.model.known(key, answer["at"] - _MINUTE)
                if self.model.only_runs(key):
                    self.world.counts["kept for what runs alone"] += 1
            elif answer["rule"] == "inventory_not_trusted" and run.refused_reads:
                self._postponed_for_unread_places(answer, run)
            elif answer["removed"]:
                self.model.removed_for_itself(key)

    def _postponed_for_unread_places(self, answer: Mapping[str, Any], run: Run) -> None:
        """Where nothing but the reading of places failed, the reason says which call, and where."""
        self.world.counts["postponed since a place could not be read"] += 1
        if run.other_faults or self.model.distrust():
            return
        named = (
            place.account in answer["reason"] and place.region in answer["reason"] and operation in answer["reason"]
            for place, operation in run.refused_reads
        )
        if not any(named):
            self.world.violate(f"{run.refused_reads} failed, and the reason is {answer['reason']}")

    # In the end

    def finish(self) -> None:
        """Faults are over, people repair what they are told of, and time goes by; then what is unused is gone."""
        world, model = self.world, self.model
        world.note("THE END BEGINS")
        world.outages.clear()
        world.strikes.clear()
        world.time_left = timedelta(minutes=15)
        world.set_environment(ACTION="delete")
        world.aggregator.failed.clear()
        world.aggregator.hidden.clear()
        for place in PLACES:
            world.workloads.mend(place)
            world.aggregator.lag[place] = timedelta(minutes=3)
            self.start_recorder(place)
        self._wait()
        # Then the last users go, and little may be left.
        world.note("ALL USES END")
        self._end_all_uses()
        world.set_environment(NEWEST_IMAGES="0", REMOVALS_PER_DAY="500", PROTECTED_TAG_PATTERNS="")
        for repository in model.repositories.values():
            for key in list(repository.settings):
                self.set_tag(repository, key.partition(":")[2], None)
            self.opt(repository, opted_in=True)
        self._wait()
        lost = [message.origin for queue in (world.events, world.checks) for message in (*queue.messages, *queue.dead)]
        for origin in set(lost) - world.may_fail:
            world.violate(f"{origin} is in a queue still")
        for removed, image in model.removed_images.items():
            if image.was_main and not any(removed.digest in detail for detail in world.announced):
                world.violate(f"nobody was told that {removed} was removed")

    def _end_all_uses(self) -> None:
        model = self.model
        for runner in list(model.runners):
            self.stop(runner)
        for consumer in list(model.consumers):
            self.end(consumer)
        for task in model.tasks:
            self._end(task)
        for function in list(model.functions):
            self.delete_version(function, "$LATEST")
        for job in list(model.jobs):
            self.end_job(job)
        model.pointers.clear()
        for definition in model.task_definitions:
            self.deregister(definition)

    def _wait(self) -> None:
        """Weeks go by, and somebody asks about every image now and then."""
        world, model = self.world, self.model
        for days in (1, 1, 8, 5, 5):
            world.events.redrive(world.now)
            world.checks.redrive(world.now)
            self._repair()
            # The project has no sweep yet; the test stands in for it.
            for image in model.all_images():
                if model.repositories[image.key.repository].opted_in:
                    world.put_check(str(image.key))
            world.advance(timedelta(days=days))
        for leftover in model.leftovers():
            world.violate(leftover)

    def _repair(self) -> None:
        """What a person does who reads the log: exempt what will never be shown, deploy anew what nobody knows."""
        if not self.model.complete:
            for definition in self.model.never_shown():
                self.deregister(definition)
            return
        exempt = set(filter(None, self.world.environment["EXEMPT_ACCOUNTS"].split(",")))
        fresh = {
            definition.arn
            for definition in self.model.never_shown()
            if not self.world.aggregator.will_show(definition.place, TASK_DEFINITION, definition.arn)
        } - exempt
        if fresh:
            self.world.set_environment(EXEMPT_ACCOUNTS=",".join(sorted(exempt | fresh)))
        for runner in self.model.unresolvable_runners():
            old = runner.deployment.task_definition
            self.update(runner, self.register(runner.place, *old.references))


_MINUTE = timedelta(minutes=1)
_OTHER_KINDS = ("AWS::AppRunner::Service", "AWS::SageMaker::Model", "AWS::CodeBuild::Project")


def _manifest(config_type: str, content: str, *, layer: str = _LAYER) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(content.encode()).hexdigest()
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": config_type, "digest": digest, "size": 100},
        "layers": [{"mediaType": layer, "digest": digest, "size": 1000}],
    }


def _descriptor(digest: str) -> dict[str, Any]:
    return {"mediaType": _MANIFEST, "digest": digest, "size": 100}


def _tags(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]
