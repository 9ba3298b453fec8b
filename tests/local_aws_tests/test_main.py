from __future__ import annotations

import os
import signal
import subprocess
import sys

import boto3


def test_serves_until_interrupted() -> None:
    command = [sys.executable, "-u", "-m", "local_aws", "444444444444", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        lines = iter(process.stdout)
        assert "444444444444" in next(lines)
        exported = dict(next(lines).removeprefix("export ").strip().split("=", 1) for _ in range(3))
        sts = boto3.client(
            "sts",
            endpoint_url=exported["AWS_ENDPOINT_URL"],
            region_name="eu-central-1",
            aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
        )
        assert sts.get_caller_identity()["Account"] == "444444444444"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
