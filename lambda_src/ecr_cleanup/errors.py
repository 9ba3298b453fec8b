"""Every error that this package raises itself.

EcrCleanupError
├── InputError                   something given is wrong; trying again does not help, a person must look
│   ├── SettingsError            an environment variable
│   ├── ImageReferenceError      an image reference that names an ECR host but is malformed
│   ├── RepositoryTagError       a tag with which the owner of a repository steers
│   ├── EventError               an event that is malformed or speaks for somebody else
│   ├── CheckError               a message in the check queue
│   ├── SweepError               a message in the sweeps queue
│   └── DigestError              a message in the digests queue
├── ImagesUnknownError           nobody knows (yet) which images a task definition has; trying again may help
├── LedgerConflictError          the ledger changed while it was being read; trying again helps
├── ScheduleConflictError        a schedule kept changing while it was being put; trying again helps
├── DeletionRefusedError         the registry did not delete an image, for a reason of its own
├── StalePlaceError              a listing cannot be gone on with where it was left; it begins anew
├── ManifestError                a manifest cannot be read, so nobody can say what belongs to the image
├── AggregatorError              the aggregator answered what cannot be understood
├── LiveUsageError               a workload account does not say what runs there
│   └── TimeIsUpError            it was not asked in the time that there is
└── AnnouncementError            the event bus refused an event
"""

from __future__ import annotations


class EcrCleanupError(Exception):
    """Base of all errors of this package."""


class InputError(EcrCleanupError):
    """Something that was given is wrong. The message says what, and what would be right."""


class SettingsError(InputError):
    """An environment variable is missing or makes no sense."""


class ImageReferenceError(InputError):
    """An image reference names an ECR host but cannot be parsed."""


class RepositoryTagError(InputError):
    """A tag with which the owner of a repository steers makes no sense."""


class EventError(InputError):
    """An event is malformed, of an unknown kind, or speaks for another account or region than its own."""


class CheckError(InputError):
    """A message in the check queue is not an image deletion check."""


class SweepError(InputError):
    """A message in the sweeps queue does not ask for a sweep."""


class DigestError(InputError):
    """A message in the digests queue does not ask for a digest."""


class ImagesUnknownError(EcrCleanupError):
    """Neither the event, the ledger nor the aggregator knows the images of a task definition."""


class LedgerConflictError(EcrCleanupError):
    """What the ledger says of an image changed between reading and writing."""


class LeasedToSameMessageError(LedgerConflictError):
    """A function is at the sweep that this very message asked for; it is needed again should that function die."""


class ScheduleConflictError(EcrCleanupError):
    """A schedule kept appearing and disappearing while it was being put."""


class DeletionRefusedError(EcrCleanupError):
    """The registry did not delete an image and gave a reason that nobody expected."""


class StalePlaceError(EcrCleanupError):
    """The registry does not know the place in a listing any more at which it was left."""


class ManifestError(EcrCleanupError):
    """The manifest of an image cannot be had or understood."""


class AggregatorError(EcrCleanupError):
    """An answer of the Config aggregator has not the shape that it should have."""


class LiveUsageError(EcrCleanupError):
    """A workload account did not say what runs there, or nothing that could be understood."""


class TimeIsUpError(LiveUsageError):
    """There is not enough time left to read more of what runs in the workload accounts."""


class AnnouncementError(EcrCleanupError):
    """The event bus did not accept the event about a removal."""
