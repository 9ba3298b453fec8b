"""`check`: asks for a check of one image. The only command that writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ecr_cleanup.aws.scheduler import CheckSchedules
from ecr_cleanup.check import Check
from ecr_cleanup.cli import clock
from ecr_cleanup.cli.failures import AwsError, NotFoundError
from ecr_cleanup.cli.references import references_of
from ecr_cleanup.policy import Policy
from ecr_cleanup.report import iso

if TYPE_CHECKING:
    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.image import Image

_CAUSE = "asked for with ecr-cleanup check"


@dataclass(frozen=True)
class Asker:
    """Sees to it that an image is checked."""

    installation: Installation

    def find(self, text: str) -> Image:
        """The image that a text means.

        Raises:
            NotFoundError: there is none, or the text could mean several.
        """
        references = references_of(text, self.installation.settings, self.installation.session.region)
        found = [image for reference in references for image in self.installation.registry.find([reference])]
        if not found:
            raise NotFoundError(f"there is no image {text} in the registry: nothing to check")
        if len(found) > 1:
            regions = ", ".join(image.id.repository.region for image in found)
            raise NotFoundError(f"{text} is in several regions ({regions}): write the full reference of one")
        return found[0]

    def note(self, image: Image) -> str | None:
        """Why a check of the image would be in vain, if it would."""
        tag = self.installation.settings.opt_in_tag
        if self._tags(image).get(tag.key) == tag.value:
            return None
        return f"the repository is not opted in with the tag {tag.key} = {tag.value}: the check will keep the image"

    def schedule(self, image: Image) -> str:
        """Put a check into the schedule, a grace period from now, and say when it is. One that is later stays."""
        settings = self.installation.settings
        now = clock.now()
        due = now + Policy.of(settings, self._tags(image)).grace_period
        schedules = CheckSchedules(self.installation.session.client("scheduler"), settings)
        return f"{image.id} is checked at {iso(schedules.put(Check(image.id, _CAUSE), due, now=now))}."

    def send(self, image: Image) -> str:
        """Put a check into the queue, to be made as soon as a function takes it."""
        *_, account, name = self.installation.settings.check_queue_arn.split(":")
        client = self.installation.session.client("sqs")
        try:
            url = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        except ClientError as error:
            # The SDK has had several names for it.
            if error.response["Error"]["Code"].rpartition(".")[2] not in ("NonExistentQueue", "QueueDoesNotExist"):
                raise
            raise AwsError(
                f"there is no queue {name} in the account {account}: apply the module shared_account"
            ) from None
        client.send_message(QueueUrl=url, MessageBody=Check(image.id, _CAUSE).to_json())
        return (
            f"{image.id} is checked within minutes; ecr-cleanup explain, or the function's log, says what came of it."
        )

    def _tags(self, image: Image) -> dict[str, str]:
        return dict(self.installation.registry.repository_tags(image.id.repository) or {})
