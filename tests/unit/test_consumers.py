from __future__ import annotations

from ecr_cleanup.consumers import CONSUMER_TYPES, TASK_DEFINITION, Consumer
from ecr_cleanup.settings import ECS_TYPES, Place
from function_environment import ENVIRONMENT

PLACE = Place("222222222222", "eu-central-1")


def test_every_type_holds_an_image_somewhere_and_only_there() -> None:
    for resource_type, consumer_type in CONSUMER_TYPES.items():
        assert consumer_type.resource_type == resource_type
        assert consumer_type.properties
        assert bool(consumer_type.images) != bool(consumer_type.task_definition), resource_type
        assert all(path.startswith("configuration.") for path in consumer_type.properties)


def test_each_type_that_is_read_by_default_is_in_the_table() -> None:
    assert set(CONSUMER_TYPES) == set(ENVIRONMENT["RESOURCE_TYPES"].split(","))
    assert set(ECS_TYPES) < set(CONSUMER_TYPES)


def test_kinds_tell_types_apart() -> None:
    assert len({each.kind for each in CONSUMER_TYPES.values()}) == len(CONSUMER_TYPES)


def test_only_active_task_definitions_hold_images_by_themselves() -> None:
    assert TASK_DEFINITION.condition == "configuration.Status = 'ACTIVE'"
    assert [each for each in CONSUMER_TYPES.values() if each.condition] == [TASK_DEFINITION]


def test_what_must_hold_an_image_and_shows_none_names_too_little() -> None:
    def silent(resource_type: str) -> bool:
        return Consumer(CONSUMER_TYPES[resource_type], "arn", PLACE).names_too_little

    assert {each for each in CONSUMER_TYPES if silent(each)} == {
        "AWS::ECS::TaskDefinition",
        "AWS::ECS::TaskSet",
        "AWS::CodeBuild::Project",
    }
    project, task_set = CONSUMER_TYPES["AWS::CodeBuild::Project"], CONSUMER_TYPES["AWS::ECS::TaskSet"]
    assert not Consumer(project, "arn", PLACE, images=("image",)).names_too_little
    assert not Consumer(task_set, "arn", PLACE, task_definition="arn").names_too_little
