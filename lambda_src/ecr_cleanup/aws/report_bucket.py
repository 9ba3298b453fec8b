"""The S3 bucket that gets the report of each sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO

    from mypy_boto3_s3 import S3Client


class ReportBucket:
    """Puts reports below a prefix, and parts of them meanwhile.

    All methods raise botocore's errors, and boto3's where an upload fails.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def page(self) -> str:
        """The page that Terraform put there, without a report in it."""
        answer = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}page.html")
        return answer["Body"].read().decode()

    def put(self, name: str, content: IO[bytes], content_type: str) -> str:
        """Write an object, in place of what may be there, and return where it is."""
        key = f"{self._prefix}{name}"
        self._client.upload_fileobj(content, self._bucket, key, ExtraArgs={"ContentType": content_type})
        return f"s3://{self._bucket}/{key}"

    def put_part(self, number: int, content: IO[bytes]) -> None:
        """Write a part of a report; the next sweep overwrites it."""
        self.put(_part(number), content, "application/gzip")

    def get_part(self, number: int, into: IO[bytes]) -> None:
        """Read a part back."""
        self._client.download_fileobj(self._bucket, f"{self._prefix}{_part(number)}", into)


def _part(number: int) -> str:
    return f"parts/{number:05}.jsonl.gz"
