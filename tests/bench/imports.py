"""How long the import of a handler takes beyond boto3 and Powertools: `python -m bench.imports sweep`, in seconds."""

from __future__ import annotations

import importlib
import sys
import time

# What the functions take from the libraries, and what these import only when something is made of them.
_LIBRARIES = (
    "boto3.dynamodb.types",
    "boto3.exceptions",
    "boto3.s3.transfer",
    "botocore.config",
    "botocore.exceptions",
    "aws_lambda_powertools.metrics",
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes.sqs_event",
)


def measure(handler: str) -> float:
    """CPU seconds, since other work on the machine is none of the handler's."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    from aws_lambda_powertools import Logger, Metrics, Tracer

    Logger(), Metrics(namespace="EcrCleanup"), Tracer()
    started = time.process_time()
    importlib.import_module(f"ecr_cleanup.handlers.{handler}")
    return time.process_time() - started


if __name__ == "__main__":
    print(measure(sys.argv[1]))
