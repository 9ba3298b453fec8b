"""What runs in a workload account right now: one reader per kind of consumer.

A reader is a function that asks one place, with one cheap call to see that there is nothing to be read, and returns
`Findings`. The next consumer is a file here, its line in `READERS`, and its calls in the policy of the reader role
(modules/workload_account/reader.tf).
"""

from __future__ import annotations

from collections.abc import Callable

from ecr_cleanup.inventory import Findings
from ecr_cleanup.readers.batch_jobs import read_job_definitions
from ecr_cleanup.readers.config_recorder import read_recorder
from ecr_cleanup.readers.ecs_daemons import read_daemons
from ecr_cleanup.readers.ecs_schedules import read_scheduled_tasks
from ecr_cleanup.readers.ecs_services import read_services_and_tasks
from ecr_cleanup.readers.ecs_task_definitions import read_new_task_definitions
from ecr_cleanup.readers.lambda_functions import read_functions
from ecr_cleanup.readers.session import PlaceSession

Reader = Callable[[PlaceSession], Findings]

READERS: tuple[Reader, ...] = (
    read_recorder,
    read_new_task_definitions,
    read_services_and_tasks,
    read_daemons,
    read_scheduled_tasks,
    read_functions,
    read_job_definitions,
)
