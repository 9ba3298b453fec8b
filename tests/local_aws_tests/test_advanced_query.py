from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local_aws.advanced_query import InvalidExpression, parse, run

if TYPE_CHECKING:
    from collections.abc import Sequence

TASK_DEFINITION = "AWS::ECS::TaskDefinition"
SERVICE = "AWS::ECS::Service"


def task_definition(
    family: str,
    *images: str,
    account: str = "111111111111",
    region: str = "eu-central-1",
    status: str = "ACTIVE",
) -> dict[str, Any]:
    return {
        "accountId": account,
        "awsRegion": region,
        "arn": f"arn:aws:ecs:{region}:{account}:task-definition/{family}:1",
        "resourceId": f"{family}:1",
        "resourceType": TASK_DEFINITION,
        "configurationItemStatus": "OK",
        "configuration": {
            "Family": family,
            "Status": status,
            "ContainerDefinitions": [
                {"Name": f"c{number}", "Image": image, "Cpu": 256} for number, image in enumerate(images)
            ],
        },
        "tags": [{"key": "team", "value": family, "tag": f"team={family}"}],
    }


def service(name: str, desired: float, account: str = "111111111111", **configuration: Any) -> dict[str, Any]:
    return {
        "accountId": account,
        "awsRegion": "eu-central-1",
        "arn": f"arn:aws:ecs:eu-central-1:{account}:service/main/{name}",
        "resourceId": f"main/{name}",
        "resourceType": SERVICE,
        "configurationItemStatus": "OK",
        "configuration": {"ServiceName": name, "DesiredCount": desired, **configuration},
    }


def select(expression: str, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = run(parse(expression), items)
    return [json.loads(row) for row in rows]


def names(where: str, items: Sequence[dict[str, Any]]) -> list[str]:
    return [row["resourceId"] for row in select(f"SELECT resourceId WHERE {where}", items)]


WEB = task_definition("web", "web:1", "sidecar:1")
API = task_definition("api", "api:1", account="222222222222")
OLD = task_definition("old", "web:0", status="INACTIVE", region="eu-west-1")
BUSY = service("busy", 3, EnableExecuteCommand=True)
IDLE = service("idle", 0, account="222222222222", EnableExecuteCommand=False)
ITEMS = [IDLE, WEB, OLD, BUSY, API]


def test_rows_hold_only_the_selected_properties_in_their_places() -> None:
    rows = run(
        parse("SELECT accountId, configuration.ContainerDefinitions.Image WHERE configuration.Family = 'web'"),
        ITEMS,
    )
    configuration = '{"ContainerDefinitions":[{"Image":"web:1"},{"Image":"sidecar:1"}]}'
    assert rows == [f'{{"accountId":"111111111111","configuration":{configuration}}}']


def test_properties_of_one_array_are_merged_by_element() -> None:
    expression = """
        SELECT configuration.ContainerDefinitions.Image, configuration.ContainerDefinitions.Name,
               configuration.Family
        WHERE resourceId = 'web:1'
    """
    assert select(expression, ITEMS) == [
        {
            "configuration": {
                "ContainerDefinitions": [
                    {"Image": "web:1", "Name": "c0"},
                    {"Image": "sidecar:1", "Name": "c1"},
                ],
                "Family": "web",
            }
        }
    ]


@pytest.mark.parametrize(
    "columns",
    ["configuration, configuration.Family", "configuration.Family, configuration"],
)
def test_whole_object_includes_its_properties(columns: str) -> None:
    (row,) = select(f"SELECT {columns} WHERE resourceId = 'web:1'", ITEMS)
    assert row == {"configuration": WEB["configuration"]}


def test_missing_property_is_absent() -> None:
    assert select("SELECT resourceId, configuration.nothing, availabilityZone", [WEB]) == [{"resourceId": "web:1"}]
    assert select("SELECT nothing", [WEB]) == [{}]


def test_star_gives_top_level_scalars_only() -> None:
    query = parse("SELECT *")
    assert "configuration" not in query.fields
    assert select("SELECT *", [WEB]) == [
        {
            "accountId": "111111111111",
            "awsRegion": "eu-central-1",
            "arn": WEB["arn"],
            "resourceId": "web:1",
            "resourceType": TASK_DEFINITION,
        }
    ]


def test_fields_name_the_columns() -> None:
    query = parse("select accountId, count(*), max(configuration.DesiredCount) group by accountId")
    assert query.fields == ["accountId", "COUNT(*)", "MAX(configuration.DesiredCount)"]
    assert query.is_aggregation
    assert not parse("SELECT accountId").is_aggregation


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (f"resourceType = '{SERVICE}'", ["main/busy", "main/idle"]),
        (f"resourceType = '{TASK_DEFINITION}' AND configuration.Status = 'ACTIVE'", ["web:1", "api:1"]),
        ("configuration.Family = 'web' OR configuration.Family = 'api'", ["web:1", "api:1"]),
        ("NOT accountId = '111111111111'", ["main/idle", "api:1"]),
        (
            "resourceId LIKE 'web%' OR NOT (accountId = '222222222222' OR configuration.Family = 'old')",
            ["main/busy", "web:1"],
        ),
        ("configuration.DesiredCount = 3", ["main/busy"]),
        ("configuration.DesiredCount < 3", ["main/idle"]),
        ("configuration.DesiredCount <= 3", ["main/busy", "main/idle"]),
        ("configuration.DesiredCount > 0", ["main/busy"]),
        ("configuration.DesiredCount >= -1.5", ["main/busy", "main/idle"]),
        ("configuration.DesiredCount BETWEEN 1 AND 5", ["main/busy"]),
        ("configuration.Family BETWEEN 'old' AND 'x'", ["web:1", "old:1"]),
        ("configuration.Family NOT BETWEEN 'a' AND 'x'", ["main/busy", "main/idle"]),
        ("configuration.EnableExecuteCommand = true", ["main/busy"]),
        ("configuration.EnableExecuteCommand = false", ["main/idle"]),
        ("accountId IN ('222222222222', '333333333333')", ["main/idle", "api:1"]),
        (
            f"accountId NOT IN ('222222222222') AND resourceType = '{TASK_DEFINITION}'",
            ["web:1", "old:1"],
        ),
        ("resourceType LIKE 'AWS::ECS::Serv%'", ["main/busy", "main/idle"]),
        ("resourceType LIKE 'AWS::ECS::Servic_'", ["main/busy", "main/idle"]),
        ("resourceType LIKE 'AWS::ECS::Servi_'", []),
        ("resourceType NOT LIKE 'AWS::ECS::S%'", ["web:1", "old:1", "api:1"]),
        ("resourceId = 'web:1' AND awsRegion = 'eu-central-1'", ["web:1"]),
    ],
)
def test_where(where: str, expected: list[str]) -> None:
    assert names(where, ITEMS) == expected


@pytest.mark.parametrize(
    "where",
    [
        "configuration.family = 'web'",
        "Configuration.Family = 'web'",
        "configuration.Family = 'Web'",
        "configuration.DesiredCount = '3'",
        "configuration.EnableExecuteCommand = 'true'",
        "configuration.EnableExecuteCommand = 1",
        "configuration.Family > 1",
        "configuration.ContainerDefinitions = 'web:1'",
    ],
)
def test_wrong_name_case_or_kind_of_value_finds_nothing(where: str) -> None:
    assert names(where, ITEMS) == []


def test_negation_holds_for_what_lacks_the_property() -> None:
    assert "main/busy" in names("NOT configuration.Status = 'INACTIVE'", ITEMS)


def test_predicate_on_an_array_holds_if_any_element_matches() -> None:
    assert names("configuration.ContainerDefinitions.Image = 'sidecar:1'", ITEMS) == ["web:1"]
    # Each predicate looks at all elements by itself, as AWS documents it.
    across = "configuration.ContainerDefinitions.Image = 'sidecar:1'"
    assert names(f"{across} AND configuration.ContainerDefinitions.Name = 'c0'", ITEMS) == ["web:1"]
    assert names("configuration.ContainerDefinitions.Cpu BETWEEN 200 AND 300", [WEB]) == ["web:1"]
    assert names("tags.value = 'web'", ITEMS) == ["web:1"]


@pytest.mark.parametrize(
    "expression",
    [
        "SELECT arn WHERE configuration.ContainerDefinitions.Image LIKE 'web:%'",
        "SELECT arn WHERE configuration.ContainerDefinitions.Image IN ('web:1')",
        "SELECT arn WHERE tags IN ('x')",
        "SELECT tags.value, COUNT(*) GROUP BY tags.value",
        "SELECT tags.value ORDER BY tags.value",
        "SELECT configuration, COUNT(*) GROUP BY configuration",
        "SELECT SUM(configuration.Family)",
    ],
)
def test_refuses_on_the_data_what_nobody_confirmed(expression: str) -> None:
    query = parse(expression)
    with pytest.raises(InvalidExpression):
        run(query, [WEB, API])


@pytest.mark.parametrize("status", ["ResourceDeleted", "ResourceNotRecorded", "ResourceDeletedNotRecorded"])
def test_deleted_and_unrecorded_items_are_not_seen(status: str) -> None:
    gone = {**task_definition("gone"), "configurationItemStatus": status}
    assert names("accountId = '111111111111'", [gone, WEB]) == ["web:1"]
    assert select("SELECT COUNT(*)", [gone, WEB]) == [{"COUNT(*)": 1}]


def test_count_by_account_and_region() -> None:
    expression = "SELECT accountId, awsRegion, COUNT(*) GROUP BY accountId, awsRegion"
    assert run(parse(expression), ITEMS) == [
        '{"COUNT(*)":2,"accountId":"111111111111","awsRegion":"eu-central-1"}',
        '{"COUNT(*)":1,"accountId":"111111111111","awsRegion":"eu-west-1"}',
        '{"COUNT(*)":2,"accountId":"222222222222","awsRegion":"eu-central-1"}',
    ]


def test_nested_group_property() -> None:
    expression = "SELECT configuration.Status, COUNT(*) WHERE resourceType = 'AWS::ECS::TaskDefinition' "
    assert select(expression + "GROUP BY configuration.Status ORDER BY COUNT(*) DESC", ITEMS) == [
        {"COUNT(*)": 2, "configuration": {"Status": "ACTIVE"}},
        {"COUNT(*)": 1, "configuration": {"Status": "INACTIVE"}},
    ]


def test_aggregates() -> None:
    path = "configuration.DesiredCount"
    expression = f"SELECT COUNT({path}), SUM({path}), MIN({path}), MAX({path}), AVG({path})"
    assert select(expression, ITEMS) == [
        {
            f"COUNT({path})": 2,
            f"SUM({path})": 3,
            f"MIN({path})": 0,
            f"MAX({path})": 3,
            f"AVG({path})": 1.5,
        }
    ]


def test_aggregates_over_nothing() -> None:
    assert select("SELECT COUNT(*), MAX(configuration.x), AVG(configuration.x)", []) == [{"COUNT(*)": 0}]
    assert select("SELECT accountId, COUNT(*) GROUP BY accountId", []) == []


def test_group_without_its_property() -> None:
    expression = "SELECT configuration.Status, COUNT(*) GROUP BY configuration.Status"
    assert {"COUNT(*)": 2} in select(expression, ITEMS)


def test_order_by() -> None:
    by_family = "SELECT configuration.Family WHERE resourceType LIKE 'AWS::ECS::T%' ORDER BY configuration.Family"
    families = [row["configuration"]["Family"] for row in select(by_family, ITEMS)]
    assert families == ["api", "old", "web"]
    families = [row["configuration"]["Family"] for row in select(by_family + " DESC", ITEMS)]
    assert families == ["web", "old", "api"]


def test_order_by_several_properties_with_missing_ones_last() -> None:
    expression = """
        SELECT resourceId, accountId, configuration.DesiredCount
        ORDER BY accountId DESC, configuration.DesiredCount
    """
    rows = [row["resourceId"] for row in select(expression, ITEMS)]
    assert rows == ["main/idle", "api:1", "main/busy", "web:1", "old:1"]


def test_order_does_not_depend_on_the_order_of_the_items() -> None:
    expression = "SELECT arn"
    assert run(parse(expression), ITEMS) == run(parse(expression), list(reversed(ITEMS)))


def test_ordered_by_an_aggregate_is_not_paged() -> None:
    expression = "SELECT accountId, COUNT(*) GROUP BY accountId ORDER BY "
    assert parse(expression + "accountId").is_paged
    assert not parse(expression + "COUNT(*)").is_paged


def test_deep_property() -> None:
    item = {"resourceId": "x", "configuration": {"a": {"b": {"c": {"d": {"e": 1}}}}}}
    assert names("configuration.a.b.c.d.e = 1", [item, WEB]) == ["x"]
    assert select("SELECT configuration.a.b.c.d.e", [item]) == [{"configuration": item["configuration"]}]


def test_property_of_a_scalar_is_absent() -> None:
    assert select("SELECT resourceId.x, configuration.Family.x", [WEB]) == [{}]


def test_quotes_inside_a_string() -> None:
    odd = task_definition("it's; -- ALL")
    assert names("configuration.Family = 'it''s; -- ALL'", [odd, WEB]) == [odd["resourceId"]]


def test_length_limit() -> None:
    expression = "SELECT arn WHERE resourceId = '{}'"
    fitting = expression.format("x" * (4096 - len(expression) + 2))
    assert len(fitting) == 4096
    assert run(parse(fitting), ITEMS) == []
    with pytest.raises(InvalidExpression, match="4096"):
        parse(fitting + " ")
    with pytest.raises(InvalidExpression, match="4096"):
        parse("")


def test_refuses_endless_nesting() -> None:
    with pytest.raises(InvalidExpression, match="nested too deeply"):
        parse("SELECT a WHERE " + "(" * 1000 + "b = 1" + ")" * 1000)


@pytest.mark.parametrize(
    "expression",
    [
        "garbage",
        "SELECT",
        "SELECT a,",
        "SELECT a, WHERE b = 1",
        "SELECT a WHERE",
        "SELECT a WHERE b = 1 AND",
        "SELECT a WHERE b IN ('c',)",
        "SELECT a FROM b",
        "SELECT a JOIN b",
        "SELECT ALL a",
        "SELECT DISTINCT a",
        "SELECT TOP 3 a",
        "SELECT a AS b",
        "SELECT a b",
        "SELECT *, a",
        "SELECT a.*",
        "SELECT 1",
        "SELECT 'a'",
        'SELECT "a"',
        "SELECT `a`",
        "SELECT a[0]",
        "SELECT a + b",
        "SELECT a::int",
        "SELECT LOWER(a)",
        "SELECT CASE WHEN a = 1 THEN b END",
        "SELECT a; SELECT b",
        "SELECT a;",
        "SELECT a -- comment",
        "SELECT a /* comment */",
        "(SELECT a)",
        "SELECT a UNION SELECT b",
        "WITH x AS (SELECT a) SELECT a",
        "DELETE FROM a",
        "SELECT a LIMIT 3",
        "SELECT a OFFSET 3",
        "SELECT a WHERE b",
        "SELECT a WHERE TRUE",
        "SELECT a WHERE b = c",
        "SELECT a WHERE 'b' = c",
        'SELECT a WHERE b = "c"',
        "SELECT a WHERE 1 = 1",
        "SELECT a WHERE b == 1",
        "SELECT a WHERE b != 1",
        "SELECT a WHERE b <> 1",
        "SELECT a WHERE ! b = 1",
        "SELECT a WHERE b = 1 + 1",
        "SELECT a WHERE b = ?",
        "SELECT a WHERE b = DATE '2025-01-01'",
        "SELECT a WHERE LOWER(b) = 'c'",
        "SELECT a WHERE b = NULL",
        "SELECT a WHERE b IS NULL",
        "SELECT a WHERE b IS NOT NULL",
        "SELECT a WHERE EXISTS (SELECT b)",
        "SELECT a WHERE b IN (SELECT c)",
        "SELECT a WHERE b IN ()",
        "SELECT a WHERE b IN (c)",
        "SELECT a WHERE (b, c) IN ((1, 2))",
        "SELECT a WHERE b BETWEEN 1 AND 'c'",
        "SELECT a WHERE b BETWEEN true AND false",
        "SELECT a WHERE b BETWEEN SYMMETRIC 2 AND 1",
        "SELECT a WHERE b LIKE 'abc'",
        "SELECT a WHERE b LIKE 'ab%'",
        "SELECT a WHERE b LIKE 'ab_'",
        "SELECT a WHERE b LIKE '%abc'",
        "SELECT a WHERE b LIKE '_abc'",
        "SELECT a WHERE b LIKE 'abc%def'",
        "SELECT a WHERE b LIKE 'abc_def%'",
        "SELECT a WHERE b LIKE 'abc%%'",
        "SELECT a WHERE b LIKE ''",
        "SELECT a WHERE b LIKE 3",
        "SELECT a WHERE b LIKE 'abc%' ESCAPE 'x'",
        "SELECT a WHERE 'key%' LIKE 'value%'",
        "SELECT a WHERE b ILIKE 'abc%'",
        "SELECT a GROUP BY a",
        "SELECT a, COUNT(*)",
        "SELECT a, COUNT(*) GROUP BY b",
        "SELECT COUNT(*) GROUP BY a, b, c, d",
        "SELECT COUNT(*) GROUP BY ROLLUP (a)",
        "SELECT a, COUNT(*) GROUP BY a HAVING COUNT(*) > 1",
        "SELECT COUNT(DISTINCT a)",
        "SELECT COUNT(a, b)",
        "SELECT MAX(a, b)",
        "SELECT MAX(MIN(a))",
        "SELECT SUM(*)",
        "SELECT COUNT(*) OVER ()",
        "SELECT COUNT(*) FILTER (WHERE a = 1)",
        "SELECT a ORDER BY b",
        "SELECT a ORDER BY 1",
        "SELECT a ORDER BY a NULLS FIRST",
        "SELECT a, b, COUNT(*) GROUP BY a, b ORDER BY COUNT(*)",
        "SELECT a WHERE COUNT(*) = 1",
    ],
)
def test_refuses_what_aws_refuses_or_nobody_confirmed(expression: str) -> None:
    with pytest.raises(InvalidExpression):
        parse(expression)
