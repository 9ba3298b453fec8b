"""Stacks of AWS CloudFormation: a template with its parameters, as resources of an account and region.

moto reads templates; what they describe is then made by the calls that CloudFormation makes, through this local AWS,
which is as strict with them as with Terraform's. Only the kinds of resources below are known; any other is an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from moto.cloudformation.parsing import ResourceMap, clean_json
from moto.cloudformation.utils import yaml_tag_constructor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3

    Json = dict[str, Any]

# In this order each finds what it refers to.
_NAMES: dict[str, Callable[[Json], str | None]] = {
    "AWS::S3::Bucket": lambda it: it.get("BucketName"),
    "AWS::S3::BucketPolicy": lambda it: str(it["Bucket"]),
    "AWS::IAM::Role": lambda it: str(it["RoleName"]),
    "AWS::SQS::Queue": lambda it: str(it["QueueName"]),
    "AWS::SQS::QueuePolicy": lambda it: ",".join(it["Queues"]),
    "AWS::Events::Rule": lambda it: str(it["Name"]),
    "AWS::Config::AggregationAuthorization": lambda it: f"{it['AuthorizedAccountId']}/{it['AuthorizedAwsRegion']}",
    "AWS::Config::ConfigurationRecorder": lambda it: str(it["Name"]),
    "AWS::Config::DeliveryChannel": lambda it: str(it["Name"]),
}


class TemplateError(Exception):
    """A template, or parameters, that CloudFormation does not take; the text says why."""


@dataclass(frozen=True)
class Resource:
    """A resource of a stack; `retained` is one that stays when the stack goes."""

    kind: str
    name: str
    properties: Json
    account: str
    region: str
    retained: bool

    @property
    def physical_resource_id(self) -> str:
        """What `Ref` gives."""
        if self.kind == "AWS::SQS::Queue":
            return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{self.name}"
        return self.name

    def get_cfn_attribute(self, attribute: str) -> str:
        """What `Fn::GetAtt` gives; here always an ARN."""
        arns = {
            "AWS::S3::Bucket": f"arn:aws:s3:::{self.name}",
            "AWS::IAM::Role": f"arn:aws:iam::{self.account}:role/{self.name}",
            "AWS::SQS::Queue": f"arn:aws:sqs:{self.region}:{self.account}:{self.name}",
            "AWS::Events::Rule": f"arn:aws:events:{self.region}:{self.account}:rule/{self.name}",
        }
        if attribute != "Arn" or self.kind not in arns:
            raise TemplateError(f"Requested attribute {attribute} does not exist in schema for {self.kind}")
        return arns[self.kind]


def load(template: str) -> Json:
    """A template as CloudFormation reads it; raises TemplateError."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: yaml_tag_constructor(loader, f"!{suffix}", node))
    loaded = yaml.load(template, Loader=Loader)  # noqa: S506 - a safe loader that knows the short forms of functions
    if not isinstance(loaded, dict) or not loaded.get("Resources"):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    for resource in loaded["Resources"].values():
        if resource["Type"] not in _NAMES:
            raise TemplateError(f"{resource['Type']} is not emulated")
    return loaded


def check_parameters(template: Json, parameters: Mapping[str, str]) -> None:
    """Raise TemplateError where a parameter is unknown, missing, or not what its constraints ask for."""
    known: dict[str, Json] = template.get("Parameters", {})
    if unknown := parameters.keys() - known.keys():
        raise TemplateError(f"Parameters: {sorted(unknown)} do not exist in the template")
    for name, rules in known.items():
        value = parameters.get(name, rules.get("Default"))
        if value is None:
            raise TemplateError(f"Parameters: [{name}] must have values")
        wanted = rules.get("AllowedValues")
        if wanted and str(value) not in map(str, wanted):
            raise TemplateError(f"Template error: {name} must be one of {wanted}")
        if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], str(value)):
            raise TemplateError(f"Parameter '{name}' {rules.get('ConstraintDescription', 'must match its pattern')}")
        if rules["Type"] == "Number" and not rules.get("MinValue", 0) <= float(value) <= rules.get("MaxValue", 2**31):
            raise TemplateError(f"Parameter '{name}' is out of range")


def resolve(
    template: str, parameters: Mapping[str, str], account: str, region: str, *, name: str = "stack"
) -> list[Resource]:
    """The resources of a stack with these parameters, in an order in which they can be made; raises TemplateError.

    What the template gives no name is named after the stack.
    """
    loaded = load(template)
    check_parameters(loaded, parameters)
    there = _Resources(loaded, parameters, account, region, name)
    made = [it for name in loaded["Resources"] if (it := there[name]) is not None]
    return sorted(made, key=lambda it: list(_NAMES).index(it.kind))


class _Resources(ResourceMap):
    """Resources by their logical ids, resolved where something asks for them."""

    def __init__(self, template: Json, parameters: Mapping[str, str], account: str, region: str, name: str) -> None:
        self._stack_name = name
        super().__init__(name, name, dict(parameters), {}, region, account, template, {})
        self.load_parameters()
        self.load_conditions()

    def __getitem__(self, key: str) -> Any:
        if key not in self._parsed_resources:
            raw = self._resource_json_map[key]
            if (condition := raw.get("Condition")) and not self.lazy_condition_map[condition]:
                return None
            properties = clean_json(raw["Properties"], self)
            name = _NAMES[raw["Type"]](properties) or f"{self._stack_name}-{key.lower()}"
            retained = raw.get("DeletionPolicy", "Delete") != "Delete"
            self._parsed_resources[key] = Resource(
                raw["Type"], name, properties, self._account_id, self._region_name, retained
            )
        return self._parsed_resources[key]


class Stack:
    """The resources of one stack, made and deleted by an administrator of the account."""

    def __init__(self, session: boto3.Session, tags: Mapping[str, str]) -> None:
        self._session = session
        self._tags = dict(tags)
        self.resources: list[Resource] = []

    def create(self, resources: list[Resource]) -> None:
        """Make all resources, or none: what was made is deleted again before the error goes on."""
        try:
            for resource in resources:
                self._make(resource)
                self.resources.append(resource)
        except Exception:
            self.delete(retain=False)
            raise

    def update(self, resources: list[Resource]) -> None:
        """Make what is new or has changed, by making it anew, and delete what is gone."""
        gone = [it for it in self.resources if it not in resources]
        self._delete(gone, retain=True)
        for resource in resources:
            if resource not in self.resources:
                self._make(resource)
        self.resources = resources

    def delete(self, *, retain: bool = True) -> None:
        """Delete all resources, except those that the template retains."""
        self._delete(self.resources, retain=retain)
        self.resources = []

    def _delete(self, resources: list[Resource], *, retain: bool) -> None:
        for resource in reversed(resources):
            if not (retain and resource.retained):
                getattr(self, f"_delete_{_method(resource)}", lambda _: None)(resource)

    def _make(self, resource: Resource) -> None:
        getattr(self, f"_make_{_method(resource)}")(resource)

    def _client(self, service: str) -> Any:
        return self._session.client(service)  # type: ignore[call-overload]

    def _make_events_rule(self, it: Resource) -> None:
        events, given = self._client("events"), it.properties
        if [rule for rule in events.list_rules(NamePrefix=it.name)["Rules"] if rule["Name"] == it.name]:
            raise TemplateError(f"{it.name} already exists")
        pattern = json.dumps(given["EventPattern"])
        tags = [{"Key": key, "Value": value} for key, value in self._tags.items()]
        events.put_rule(Name=it.name, Description=given["Description"], EventPattern=pattern, Tags=tags)
        events.put_targets(Rule=it.name, Targets=given["Targets"])

    def _delete_events_rule(self, it: Resource) -> None:
        events = self._client("events")
        events.remove_targets(Rule=it.name, Ids=[target["Id"] for target in it.properties["Targets"]])
        events.delete_rule(Name=it.name)

    def _make_sqs_queue(self, it: Resource) -> None:
        sqs = self._client("sqs")
        if sqs.list_queues(QueueNamePrefix=it.name).get("QueueUrls"):
            raise TemplateError(f"{it.name} already exists")
        attributes = {key: _text(value) for key, value in it.properties.items() if key != "QueueName"}
        sqs.create_queue(QueueName=it.name, Attributes=attributes, tags=self._tags)

    def _delete_sqs_queue(self, it: Resource) -> None:
        sqs = self._client("sqs")
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=it.name)["QueueUrl"])

    def _make_sqs_queuepolicy(self, it: Resource) -> None:
        sqs, policy = self._client("sqs"), json.dumps(it.properties["PolicyDocument"])
        for url in it.properties["Queues"]:
            there = sqs.get_queue_url(QueueName=url.rpartition("/")[2])["QueueUrl"]
            sqs.set_queue_attributes(QueueUrl=there, Attributes={"Policy": policy})

    def _make_iam_role(self, it: Resource) -> None:
        iam, given = self._client("iam"), it.properties
        boundary = {"PermissionsBoundary": given["PermissionsBoundary"]} if "PermissionsBoundary" in given else {}
        iam.create_role(
            RoleName=it.name,
            Description=given["Description"],
            AssumeRolePolicyDocument=json.dumps(given["AssumeRolePolicyDocument"]),
            Tags=[{"Key": key, "Value": value} for key, value in self._tags.items()],
            **boundary,
        )
        for policy in given["Policies"]:
            document = json.dumps(policy["PolicyDocument"])
            iam.put_role_policy(RoleName=it.name, PolicyName=policy["PolicyName"], PolicyDocument=document)
        for arn in given.get("ManagedPolicyArns", []):
            iam.attach_role_policy(RoleName=it.name, PolicyArn=arn)

    def _delete_iam_role(self, it: Resource) -> None:
        iam = self._client("iam")
        for name in iam.list_role_policies(RoleName=it.name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=it.name, PolicyName=name)
        for policy in iam.list_attached_role_policies(RoleName=it.name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=it.name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=it.name)

    def _make_config_aggregationauthorization(self, it: Resource) -> None:
        self._client("config").put_aggregation_authorization(**_authorized(it))

    def _delete_config_aggregationauthorization(self, it: Resource) -> None:
        self._client("config").delete_aggregation_authorization(**_authorized(it))

    def _make_config_configurationrecorder(self, it: Resource) -> None:
        given = it.properties
        config = self._client("config")
        if config.describe_configuration_recorders()["ConfigurationRecorders"]:
            raise TemplateError("the maximum number of 1 customer managed configuration recorders is reached")
        group = {_camel(key): value for key, value in given["RecordingGroup"].items()}
        group["recordingStrategy"] = {"useOnly": group["recordingStrategy"]["UseOnly"]}
        config.put_configuration_recorder(
            ConfigurationRecorder={
                "name": it.name,
                "roleARN": given["RoleARN"],
                "recordingGroup": group,
                "recordingMode": {_camel(key): value for key, value in given["RecordingMode"].items()},
            }
        )

    def _delete_config_configurationrecorder(self, it: Resource) -> None:
        self._client("config").delete_configuration_recorder(ConfigurationRecorderName=it.name)

    def _make_config_deliverychannel(self, it: Resource) -> None:
        config = self._client("config")
        config.put_delivery_channel(DeliveryChannel={"name": it.name, "s3BucketName": it.properties["S3BucketName"]})
        # CloudFormation starts the recorder once both are there.
        for recorder in config.describe_configuration_recorders()["ConfigurationRecorders"]:
            config.start_configuration_recorder(ConfigurationRecorderName=recorder["name"])

    def _delete_config_deliverychannel(self, it: Resource) -> None:
        config = self._client("config")
        for recorder in config.describe_configuration_recorders()["ConfigurationRecorders"]:
            config.stop_configuration_recorder(ConfigurationRecorderName=recorder["name"])
        config.delete_delivery_channel(DeliveryChannelName=it.name)

    def _make_s3_bucket(self, it: Resource) -> None:
        s3, given = self._client("s3"), it.properties
        s3.create_bucket(Bucket=it.name, CreateBucketConfiguration={"LocationConstraint": it.region})
        s3.put_public_access_block(
            Bucket=it.name, PublicAccessBlockConfiguration=given["PublicAccessBlockConfiguration"]
        )
        encryption = [
            {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
            for rule in given["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        ]
        s3.put_bucket_encryption(Bucket=it.name, ServerSideEncryptionConfiguration={"Rules": encryption})
        expiring = [
            {
                "ID": rule["Id"],
                "Status": rule["Status"],
                "Filter": {"Prefix": ""},
                "Expiration": {"Days": int(rule["ExpirationInDays"])},
            }
            for rule in given["LifecycleConfiguration"]["Rules"]
        ]
        s3.put_bucket_lifecycle_configuration(Bucket=it.name, LifecycleConfiguration={"Rules": expiring})

    def _delete_s3_bucket(self, it: Resource) -> None:
        self._client("s3").delete_bucket(Bucket=it.name)

    def _make_s3_bucketpolicy(self, it: Resource) -> None:
        self._client("s3").put_bucket_policy(
            Bucket=it.properties["Bucket"], Policy=json.dumps(it.properties["PolicyDocument"])
        )

    def _delete_s3_bucketpolicy(self, it: Resource) -> None:
        self._client("s3").delete_bucket_policy(Bucket=it.properties["Bucket"])


def _method(resource: Resource) -> str:
    """`events_rule` for `AWS::Events::Rule`."""
    return "_".join(resource.kind.lower().split("::")[1:])


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _authorized(resource: Resource) -> dict[str, str]:
    given = resource.properties
    return {
        "AuthorizedAccountId": str(given["AuthorizedAccountId"]),
        "AuthorizedAwsRegion": str(given["AuthorizedAwsRegion"]),
    }
