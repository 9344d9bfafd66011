"""RunInstances as EC2 has it: launch templates, client tokens, tags, and a disk for the instances of runctl."""

import re
import time
from functools import partial
from typing import Any, Dict, List, Tuple

import power
import templates
from disks import Disks
from ec2_calls import Answer, Params, Refusal, missing, refuse_dry_run, replace, scope, tags_of, text
from images import BASE, Images
from ministack.core.responses import new_uuid
from ministack.services import ec2
from notices import Notices

_BEHAVIORS = ("stop", "terminate")
# The agent ends the processes of a terminated instance within a second or two.
_REMOVED_AFTER_S = 5.0
_ATTRIBUTE = "instanceInitiatedShutdownBehavior"


class Launches:
    def __init__(self, disks: Disks, images: Images, notices: Notices) -> None:
        self._disks = disks
        self._images = images
        self._notices = notices
        # What was launched with a client token, and by which request.
        self._tokens: Dict[Tuple[str, ...], Tuple[Params, List[Dict[str, Any]]]] = {}
        # No image here is a container's: none of these calls needs Docker.
        ec2._docker_touched = lambda: False
        replace("RunInstances", self._run)
        replace("TerminateInstances", self._terminate)
        replace("DescribeInstanceAttribute", _describe_attribute)

    def _run(self, p: Params) -> Answer:
        token = (*scope(), text(p, "ClientToken"))
        before = self._tokens.get(token)
        if before is not None:
            if before[0] != p:
                message = "The request uses the same client token as a previous, but non-identical request."
                raise Refusal("IdempotentParameterMismatch", message)
            return _reservation(before[1])
        template_id, template = templates.launch_data(p)
        request = _merge(p, template)
        if not text(request, "ImageId"):
            raise missing("ImageId")
        image_id = self._images.launchable(text(request, "ImageId"))
        behavior = text(request, "InstanceInitiatedShutdownBehavior") or "stop"
        if behavior not in _BEHAVIORS:
            message = "Value (%s) for parameter instanceInitiatedShutdownBehavior is invalid." % behavior
            raise Refusal("InvalidParameterValue", message)
        refuse_dry_run(p)
        notice = self._notices.of(template_id)
        power.check_capacity(notice)
        # The emulator would start a container of an image that it knows.
        answer = ec2._run_instances({**request, "ImageId": [BASE]})
        if answer[0] != 200:
            return answer
        ids = [one.decode() for one in re.findall(rb"<instanceId>([^<]*)</instanceId>", answer[2])]
        instances = [ec2._instances[one] for one in ids]
        for instance in instances:
            instance.update(ImageId=image_id, ShutdownBehavior=behavior)
            for mapping in instance["BlockDeviceMappings"]:
                _add_tags(mapping["Ebs"]["VolumeId"], _tags(p, template, "volume"))
            tags = _tags(p, template, "instance")
            if notice.get("capacity") == power.WITHDRAWN:
                _add_tags(instance["InstanceId"], tags)
                power.withdraw(instance, power.TERMINATED)
            else:
                self._give_disk(instance, tags)
        if token[-1]:
            self._tokens[token] = (p, instances)
        return _reservation(instances)

    def _give_disk(self, instance: Dict[str, Any], tags: Dict[str, str]) -> None:
        """Sets the tags of a new instance. One of runctl's gets a disk, unless its tags name one."""
        instance_id = instance["InstanceId"]
        if tags.get("runctl") != "enabled" or "runctl:root" in tags:
            _add_tags(instance_id, tags)
            return
        _add_tags(instance_id, {**tags, **self._disks.tags(instance_id)})
        instance["HasDisk"] = True
        origin = self._images.origin(instance["ImageId"])
        if origin is None:
            self._disks.create(instance_id)
            return
        image_id, folder = instance["ImageId"], origin
        pending = instance["State"] = {"Code": 0, "Name": "pending"}

        def restore() -> None:
            try:
                self._disks.restore(image_id, folder, instance_id)
            except OSError:
                instance.update(State={"Code": 48, "Name": "terminated"}, _terminated_at=time.time())
                self._disks.remove(instance_id)
                raise
            if instance["State"] is pending:
                instance["State"] = {"Code": 16, "Name": "running"}

        self._disks.do(restore)

    def _terminate(self, p: Params) -> Answer:
        answer = ec2._terminate_instances(p)
        if answer[0] == 200:
            for instance_id in ec2._parse_member_list(p, "InstanceId"):
                if ec2._instances[instance_id].pop("HasDisk", False):
                    self._disks.do(partial(self._disks.remove, instance_id), _REMOVED_AFTER_S)
        return answer


def _merge(p: Params, template: Dict[str, Any]) -> Params:
    """A request with what it has from its launch template: all that the emulator knows of an instance."""
    interfaces = template.get("NetworkInterfaces") or [{}]
    given: Dict[str, Any] = {
        name: template.get(name)
        for name in ("ImageId", "InstanceType", "KeyName", "UserData", "InstanceInitiatedShutdownBehavior")
    }
    given["SubnetId"] = interfaces[0].get("SubnetId")
    groups = template.get("SecurityGroupIds") or interfaces[0].get("Groups") or []
    given.update(("SecurityGroupId.%d" % number, group) for number, group in enumerate(groups, 1))
    profile = template.get("IamInstanceProfile", {})
    given.update(("IamInstanceProfile." + name, value) for name, value in profile.items())
    present = {name.split(".")[0] for name in p}
    return {**{name: [one] for name, one in given.items() if one and name.split(".")[0] not in present}, **p}


def _tags(p: Params, template: Dict[str, Any], resource_type: str) -> Dict[str, str]:
    """Of the template and of the request, which wins."""
    tags: Dict[str, str] = {}
    for spec in template.get("TagSpecifications", []):
        if spec["ResourceType"] == resource_type:
            tags.update((tag["Key"], tag["Value"]) for tag in spec["Tags"])
    return {**tags, **tags_of(p, resource_type)}


def _add_tags(resource_id: str, tags: Dict[str, str]) -> None:
    ec2._tags[resource_id] = [{"Key": key, "Value": value} for key, value in tags.items()]


def _reservation(instances: List[Dict[str, Any]]) -> Answer:
    items = "".join(ec2._instance_xml(instance) for instance in instances)
    inner = "<instancesSet>%s</instancesSet><reservationId>r-%s</reservationId><ownerId>%s</ownerId><groupSet/>"
    inner %= (items, new_uuid().replace("-", "")[:17], scope()[0])
    return ec2._xml(200, "RunInstancesResponse", inner)


def _describe_attribute(p: Params) -> Answer:
    instance = ec2._instances.get(text(p, "InstanceId"))
    if instance is None or text(p, "Attribute") != _ATTRIBUTE:
        return ec2._describe_instance_attribute(p)
    behavior = instance.get("ShutdownBehavior", "stop")
    value = "<%s><value>%s</value></%s>" % (_ATTRIBUTE, behavior, _ATTRIBUTE)
    inner = "<instanceId>%s</instanceId>%s" % (instance["InstanceId"], value)
    return ec2._xml(200, "DescribeInstanceAttributeResponse", inner)
