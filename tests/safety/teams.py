"""What teams do: each deed changes AWS, tells the model, and sends the events that AWS would send."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from safety.model import (
    DRAINING,
    Consumer,
    Deployment,
    Image,
    Key,
    Kind,
    Model,
    Reference,
    Repository,
    Runner,
    TaskDefinition,
    tag_pairs,
)
from safety.parts import SERVICE, TASK_DEFINITION, TASK_SET, Place
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
_CHART = "application/vnd.cncf.helm.config.v1+json"


class Teams:
    """Pushes, deploys and so on in a world, and keeps its model true."""

    def __init__(self, world: World, model: Model) -> None:
        self.world = world
        self.model = model
        self._number = 0
        self._revisions: dict[tuple[Place, str], int] = {}
        self._told: dict[str, TaskDefinition] = {}
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
            image.pulled_at = stored.pulled_at
        self.world.note(f"pull of {repository}@{digest[7:15]}")

    def _put(
        self,
        repository: Repository,
        manifest: Mapping[str, Any],
        tags: tuple[str, ...],
        kind: Kind,
        *,
        children: tuple[str, ...] = (),
        subject: str | None = None,
        fate: Fate,
    ) -> Image:
        text = json.dumps(manifest)
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        image = Image(Key(repository.name, digest), kind, self.world.now, children, subject)
        # Where a tag cannot move, the build gives another one.
        taken = [tag for tag in tags if tag in repository.tags and not self._can_move(repository, tag)]
        tags = tuple(f"{tag}.{self._number}" if tag in taken else tag for tag in tags)
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
            before.subject = None  # nothing says any more what it signs
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
    ) -> TaskDefinition:
        """Register a revision. A `large` one exceeds what CloudTrail puts into an event."""
        revision = self._revisions[place, family] = self._revisions.get((place, family), 0) + 1
        arn = f"arn:aws:ecs:{REGION}:{place.account}:task-definition/{family}:{revision}"
        definition = TaskDefinition(arn, place, references, self.world.now)
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

    def deploy(self, definition: TaskDefinition, kind: str = SERVICE) -> Runner:
        """Create a service, or a task set, of a task definition."""
        self._number += 1
        noun = "service" if kind == SERVICE else "task-set"
        arn = f"arn:aws:ecs:{REGION}:{definition.place.account}:{noun}/default/r{self._number}"
        runner = Runner(kind, arn, definition.place, self._deployment(definition))
        self.model.runners.append(runner)
        self._record_runner(runner)
        self.world.note(f"{noun} r{self._number} of {definition.arn}")
        self.model.touch()
        return runner

    def update(self, runner: Runner, definition: TaskDefinition) -> None:
        """Let a service go over to a task definition (or the same once more); what it ran drains."""
        runner.draining.append((runner.deployment, self.world.now + DRAINING))
        runner.deployment = self._deployment(definition)
        self.world.tick()
        self._record_runner(runner)
        self.world.note(f"{runner.arn.rpartition('/')[2]} goes over to {definition.arn}")
        self.model.touch()

    def stop(self, runner: Runner) -> None:
        """Delete a service or a task set."""
        self.model.runners.remove(runner)
        self.world.aggregator.record(runner.place, runner.kind, runner.arn, None, self.world.now)
        self.world.note(f"{runner.arn.rpartition('/')[2]} is deleted")

    def _deployment(self, definition: TaskDefinition) -> Deployment:
        return Deployment(definition, self.model.meanings(definition.references))

    def _record_runner(self, runner: Runner) -> None:
        name = "ServiceArn" if runner.kind == SERVICE else "Id"
        configuration = {
            name: runner.arn,
            "Cluster": f"arn:aws:ecs:{REGION}:{runner.place.account}:cluster/default",
            "TaskDefinition": runner.deployment.task_definition.arn,
            "DesiredCount": 1,
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
        for answer in answers:
            if answer["rule"] == "in_use":
                repository, _, digest = image.partition(f"{SHARED}/{REGION}/")[2].partition("@")
                self.model.known(Key(repository, digest), answer["at"] - _MINUTE)

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
            world.aggregator.lag[place] = timedelta(minutes=3)
            self.start_recorder(place)
        self._wait()
        # Then the last users go, and little may be left.
        world.note("ALL USES END")
        for runner in list(model.runners):
            self.stop(runner)
        for consumer in list(model.consumers):
            self.end(consumer)
        for definition in model.task_definitions:
            self.deregister(definition)
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

    def _wait(self) -> None:
        """Weeks go by, and somebody asks about every image now and then."""
        world, model = self.world, self.model
        for days in (1, 1, 8, 8, 22):
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
