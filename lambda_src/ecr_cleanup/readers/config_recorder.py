"""The Config recorder of a place, which may have stopped without the aggregator having been told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.inventory import Findings, Recorder, TrustProblem, recorder_problems

if TYPE_CHECKING:
    from mypy_boto3_config.type_defs import ConfigurationRecorderOutputTypeDef, ConfigurationRecorderStatusTypeDef

    from ecr_cleanup.readers.session import PlaceSession
    from ecr_cleanup.settings import Place


def read_recorder(session: PlaceSession) -> Findings:
    """Whether it records what is counted on, at this moment.

    https://docs.aws.amazon.com/config/latest/APIReference/API_DescribeConfigurationRecorders.html,
    https://docs.aws.amazon.com/config/latest/APIReference/API_ConfigurationRecorderStatus.html
    """
    statuses = {
        status.get("name"): status
        for status in session.config.describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    }
    recorders = session.config.describe_configuration_recorders()["ConfigurationRecorders"]
    problems = recorder_problems(
        [session.place],
        [_recorder(each, statuses.get(each.get("name"), {}), session.place) for each in recorders],
        session.settings.resource_types,
        missing="the account has no Config recorder there",
    )
    problems += [
        TrustProblem(
            session.place,
            f"the Config recorder {name} fails: {status.get('lastErrorCode')} {status.get('lastErrorMessage')}",
            "see the message; usually its role lacks a permission",
        )
        for name, status in statuses.items()
        if status.get("lastStatus") == "Failure"
    ]
    return Findings(problems=tuple(problems))


def _recorder(
    recorder: ConfigurationRecorderOutputTypeDef, status: ConfigurationRecorderStatusTypeDef, place: Place
) -> Recorder:
    group, mode = recorder.get("recordingGroup", {}), recorder.get("recordingMode")
    return Recorder(
        arn=recorder.get("arn") or recorder.get("name") or "default",
        place=place,
        recording=status.get("recording", False),
        strategy=group.get("recordingStrategy", {}).get("useOnly"),
        all_supported=group.get("allSupported", False),
        included=frozenset(group.get("resourceTypes", ())),
        excluded=frozenset(group.get("exclusionByResourceTypes", {}).get("resourceTypes", ())),
        frequency=mode["recordingFrequency"] if mode else None,
        overrides=tuple(
            (frozenset[str](each["resourceTypes"]), each["recordingFrequency"])
            for each in (mode.get("recordingModeOverrides", ()) if mode else ())
        ),
    )
