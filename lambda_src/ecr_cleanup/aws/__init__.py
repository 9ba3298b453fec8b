"""Thin adapters over AWS services. They hide paging, chunking and retries, and nothing else."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

AWS_ERRORS = (BotoCoreError, ClientError)
"""What a call to AWS raises when it is refused or fails to the end."""
