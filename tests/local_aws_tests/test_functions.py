from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from local_aws_tests.stack import LOGS, SHARED, function, package, role, statement, trust

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

ECHO = """
    import json, os
    def handler(event, context):
        print(json.dumps({"message": "seen", "event": event}))
        return {"event": event, "request": context.aws_request_id, "name": context.function_name}
"""


def invoke(session: boto3.Session, payload: object = None) -> tuple[object, bool]:
    answer = session.client("lambda").invoke(FunctionName="worker", Payload=json.dumps(payload))
    return json.loads(answer["Payload"].read()), "FunctionError" in answer


def test_runs_the_uploaded_code_and_keeps_its_log(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, ECHO)
    result, failed = invoke(shared, {"a": 1})
    assert not failed
    assert isinstance(result, dict)
    assert result["event"] == {"a": 1}
    [invocation] = aws.invocations("worker")
    assert invocation.request_id == result["request"]
    assert invocation.log == ({"message": "seen", "event": {"a": 1}},)
    streams = shared.client("logs").describe_log_streams(logGroupName="/aws/lambda/worker")["logStreams"]
    assert len(streams) == 1


def test_environment_is_the_functions_own_and_what_lambda_sets(
    shared: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_PARENT", "x")
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    function(shared, source, Environment={"Variables": {"MINE": "1"}}, MemorySize=256)
    environment, _ = invoke(shared)
    assert isinstance(environment, dict)
    assert environment["MINE"] == "1"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "worker"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_REGION"] == "eu-central-1"
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "SECRET_OF_THE_PARENT" not in environment


def test_clock_of_the_function_follows_the_clock(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, "import time\ndef handler(event, context):\n    return time.time()\n")
    for _ in range(2):
        aws.advance(timedelta(days=40))
        seen, _failed = invoke(shared)
        assert isinstance(seen, float)
        assert abs(seen - aws.clock.now().timestamp()) < 5


def test_calls_are_made_under_the_role(aws: LocalAws, shared: boto3.Session) -> None:
    source = """
        import boto3
        def handler(event, context):
            boto3.client("sqs").list_queues()
            boto3.client("sqs").get_queue_url(QueueName="x")
    """
    allowed = statement("sqs:ListQueues", "*", "Listing")
    function(shared, source, LOGS, allowed)
    result, failed = invoke(shared)
    assert failed
    assert isinstance(result, dict)
    assert result["errorType"] in ("ClientError", "AccessDenied")
    assert "sqs:GetQueueUrl" in result["errorMessage"]
    assert "arn:aws:sqs:eu-central-1:111111111111:x" in result["errorMessage"]
    calls = [call for call in aws.calls if call.function == "worker" and call.service == "sqs"]
    assert [(call.operation, call.allowed) for call in calls] == [("ListQueues", True), ("GetQueueUrl", False)]
    assert calls[0].grants[0].statements == ("Listing",)
    assert calls[0].principal_arn == "arn:aws:sts::111111111111:assumed-role/worker/worker"


def test_log_is_lost_where_the_role_may_not_write_it(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, ECHO, statement("sqs:ListQueues"))
    invoke(shared)
    [invocation] = aws.invocations()
    assert invocation.error is None
    assert invocation.log_lines == ()
    [denied] = [call for call in aws.calls if call.service == "logs" and call.function]
    assert (denied.operation, denied.allowed) == ("CreateLogStream", False)


def test_active_tracing_uses_the_roles_permission(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, ECHO, LOGS, statement("xray:PutTraceSegments", "*"), TracingConfig={"Mode": "Active"})
    invoke(shared)
    traced = [(call.operation, call.allowed) for call in aws.calls if call.service == "xray"]
    assert traced == [("PutTraceSegments", True), ("PutTelemetryRecords", False)]


def test_exception_is_an_error_and_is_logged(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, "def handler(event, context):\n    raise ValueError('no good')\n")
    result, failed = invoke(shared)
    assert failed
    assert isinstance(result, dict)
    assert (result["errorType"], result["errorMessage"]) == ("ValueError", "no good")
    assert any("no good" in line for line in aws.invocations()[0].log_lines)


def test_failing_import_is_an_error_each_time(shared: boto3.Session) -> None:
    function(shared, "raise RuntimeError('setting is missing')\n")
    for _ in range(2):
        result, failed = invoke(shared)
        assert failed
        assert isinstance(result, dict)
        assert result["errorMessage"] == "setting is missing"


def test_timeout_kills_the_function(shared: boto3.Session) -> None:
    source = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'\n"
    function(shared, source, Timeout=1)
    result, failed = invoke(shared, 30)
    assert failed
    assert "Task timed out after 1.00 seconds" in str(result)
    assert invoke(shared, 0) == ("done", False)


def test_stays_warm_until_code_or_configuration_changes(shared: boto3.Session) -> None:
    source = "import os\nruns = []\ndef handler(event, context):\n    runs.append(1)\n    return len(runs)\n"
    function(shared, source)
    assert [invoke(shared)[0] for _ in range(3)] == [1, 2, 3]
    client = shared.client("lambda")
    client.update_function_configuration(FunctionName="worker", Environment={"Variables": {"NEW": "1"}})
    assert invoke(shared)[0] == 1
    client.update_function_code(FunctionName="worker", ZipFile=package("def handler(e, c):\n    return 'new'\n"))
    assert invoke(shared)[0] == "new"


def test_killed_function_comes_back_fresh(aws: LocalAws, shared: boto3.Session) -> None:
    source = """
        import boto3
        def handler(event, context):
            for number in range(3):
                boto3.client("sqs").create_queue(QueueName=f"queue-{number}")
            return "done"
    """
    function(shared, source, LOGS, statement("sqs:CreateQueue"))
    aws.faults.kill_function("worker", at_call=2)
    assert invoke(shared)[1]
    assert len(shared.client("sqs").list_queues()["QueueUrls"]) == 1
    aws.faults.kill_function("worker", at_call=2, after=True)
    assert invoke(shared)[1]
    assert len(shared.client("sqs").list_queues()["QueueUrls"]) == 2
    assert invoke(shared) == ("done", False)


def test_zip_that_lambda_could_not_read_fails(shared: boto3.Session) -> None:
    import io
    import zipfile

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return 1\n")
    function(shared, ECHO)
    shared.client("lambda").update_function_code(FunctionName="worker", ZipFile=content.getvalue())
    result, failed = invoke(shared)
    assert failed
    assert "Permission denied: '/var/task/app.py'" in str(result)


def test_role_must_trust_lambda(shared: boto3.Session) -> None:
    role_arn = role(shared, "wrong", trust("events.amazonaws.com"))
    for arn in (role_arn, f"arn:aws:iam::{SHARED}:role/missing"):
        with pytest.raises(ClientError, match=r"cannot be assumed by Lambda"):
            shared.client("lambda").create_function(
                FunctionName="f", Role=arn, Runtime="python3.13", Handler="a.b", Code={"ZipFile": package(ECHO)}
            )


def test_reserved_variable_is_refused(shared: boto3.Session) -> None:
    with pytest.raises(ClientError, match="reserved"):
        function(shared, ECHO, Environment={"Variables": {"AWS_REGION": "us-east-1"}})


def test_layers_must_exist(shared: boto3.Session) -> None:
    layer = "arn:aws:lambda:eu-central-1:{}:layer:{}:7"
    powertools = layer.format("017000801446", "AWSLambdaPowertoolsPythonV3-python313-arm64")
    arn = function(shared, ECHO, Layers=[powertools])
    configuration = shared.client("lambda").get_function_configuration(FunctionName=arn)
    assert [each["Arn"] for each in configuration["Layers"]] == [powertools]
    with pytest.raises(ClientError):
        function(shared, ECHO, name="other", Layers=[layer.format(SHARED, "unknown")])
