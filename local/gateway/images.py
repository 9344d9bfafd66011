"""Images of instances: CreateImage, which the emulator does not have, and what belongs to it.

The image and its snapshot are the emulator's. The disk is a copy of the instance's folder.
"""

import datetime
import re
from typing import Any, Dict, Optional

import templates
from disks import Disks
from ec2_calls import Answer, Params, Refusal, missing, refuse_dry_run, replace, tags_of, text
from ministack.services import ec2

#: Of a launch that has no image of ours: the id that instances of the local cloud have had always.
BASE = "ami-00000000000000000"
# EC2 takes minutes. Meanwhile the agent has ended what ran on an instance that has just been stopped.
_PENDING_S = 2.0
_ID = re.compile(r"^ami-(?:[0-9a-f]{8}|[0-9a-f]{17})$")
_FILTERS = {
    "architecture",
    "description",
    "image-id",
    "is-public",
    "name",
    "owner-alias",
    "owner-id",
    "platform",
    "root-device-name",
    "root-device-type",
    "state",
    "tag-key",
    "virtualization-type",
}
_STATE_IN_XML = re.compile(r"<imageId>(ami-[0-9a-f]+)</imageId>(.*?)<imageState>available</imageState>", re.DOTALL)
_OLD = "2025-01-01T00:00:00.000Z"


class Images:
    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        ec2._STUB_AMIS.append((BASE, "runctl-local", "Base of the local cloud", "", "/dev/xvda", "099720109477", None))
        matches = ec2._image_matches_filters

        def matches_with_state(view: Dict[str, Any], filters: Dict[str, Any]) -> bool:
            others = {name: values for name, values in filters.items() if name != "state"}
            return _state(view["ImageId"]) in filters.get("state", [_state(view["ImageId"])]) and matches(view, others)

        ec2._image_matches_filters = matches_with_state
        replace("CreateImage", self._create)
        replace("DescribeImages", self._describe)
        replace("DeregisterImage", self._deregister)
        replace("DeleteSnapshot", _delete_snapshot)

    def launchable(self, named: str) -> str:
        """The id of the image that a launch names, if an instance can be launched from it."""
        image_id = templates.resolve(named)
        _check_known(image_id)
        if _state(image_id) != "available":
            message = "The image id '[%s]' is not in a state from which you can launch an instance" % image_id
            raise Refusal("InvalidAMIID.Unavailable", message)
        return image_id

    def origin(self, image_id: str) -> Optional[str]:
        """The folder of the instance whose disk an image has; None if it has none."""
        return ec2._images.get(image_id, {}).get("Origin")

    def _create(self, p: Params) -> Answer:
        instance = _stopped(text(p, "InstanceId"))
        kinds = {str(p[name][0]) for name in p if re.match(r"^TagSpecification\.\d+\.ResourceType$", name)}
        for kind in kinds - {"image", "snapshot"}:
            message = "'%s' is not a valid taggable resource type for this operation." % kind
            raise Refusal("InvalidParameterValue", message)
        if not text(p, "Name"):
            raise missing("Name")
        refuse_dry_run(p)
        about = {"Architecture": "x86_64", "VirtualizationType": "hvm", "RootDeviceName": instance["RootDeviceName"]}
        given = {name: values for name, values in p.items() if name in ("Name", "Description")}
        registered = ec2._register_image({**given, **{name: [value] for name, value in about.items()}})
        found = re.search(rb"<imageId>(.*)</imageId>", registered[2])
        if found is None:
            return registered  # the name is malformed, or in use
        image = ec2._images[found.group(1).decode()]
        snapshots = _snapshot(instance, image, tags_of(p, "snapshot"))
        _set_tags(image["ImageId"], tags_of(p, "image"))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        image.update(State="pending", CreationDate=now, SourceInstanceId=instance["InstanceId"])
        image["Origin"] = origin = _folder_of(instance["InstanceId"])

        def store() -> None:
            if image["State"] != "pending":
                return  # deregistered
            try:
                if origin is not None:
                    self._disks.store(origin, image["ImageId"])
            except OSError:
                image["State"] = "failed"
                raise
            for snapshot in snapshots:
                snapshot.update(State="completed", Progress="100%")
            image["State"] = "available"

        self._disks.do(store, _PENDING_S)
        return ec2._xml(200, "CreateImageResponse", "<imageId>%s</imageId>" % image["ImageId"])

    def _describe(self, p: Params) -> Answer:
        for image_id in ec2._parse_member_list(p, "ImageId"):
            _check_known(image_id)
        for name in ec2._parse_filters(p):
            if name not in _FILTERS and not name.startswith("tag:"):
                raise Refusal("InvalidParameterValue", "The filter '%s' is invalid" % name)
        status, headers, body = ec2._describe_images(p)

        def with_state(found: "re.Match[str]") -> str:
            image = ec2._images.get(found.group(1), {})
            more = "<imageState>%s</imageState>" % _state(found.group(1))
            more += "<creationDate>%s</creationDate>" % image.get("CreationDate", _OLD)
            if "SourceInstanceId" in image:
                more += "<sourceInstanceId>%s</sourceInstanceId>" % image["SourceInstanceId"]
            return "<imageId>%s</imageId>%s%s" % (found.group(1), found.group(2), more)

        return status, headers, _STATE_IN_XML.sub(with_state, body.decode()).encode()

    def _deregister(self, p: Params) -> Answer:
        image_id = text(p, "ImageId")
        if not image_id:
            raise missing("ImageId")
        image = ec2._images.get(image_id)
        if image is None:
            _check_known(image_id)
            raise Refusal("AuthFailure", "Not authorized for image:%s" % image_id)  # it is another account's
        answer = ec2._deregister_image(p)
        image["State"] = "deregistered"
        if text(p, "DeleteAssociatedSnapshots") == "true":
            for mapping in image["BlockDeviceMappings"]:
                ec2._delete_snapshot({"SnapshotId": [mapping.get("Ebs", {}).get("SnapshotId", "")]})
        self._disks.do(lambda: self._disks.remove_image(image_id))
        return answer


def _state(image_id: str) -> str:
    return ec2._images.get(image_id, {}).get("State", "available")


def _check_known(image_id: str) -> None:
    if not _ID.match(image_id):
        raise Refusal("InvalidAMIID.Malformed", 'Invalid id: "%s"' % image_id)
    if image_id not in ec2._images and image_id not in [one[0] for one in ec2._STUB_AMIS]:
        raise Refusal("InvalidAMIID.NotFound", "The image id '[%s]' does not exist" % image_id)


def _stopped(instance_id: str) -> Dict[str, Any]:
    if not instance_id:
        raise missing("InstanceId")
    if not ec2._INSTANCE_ID_RE.match(instance_id):
        raise Refusal("InvalidInstanceID.Malformed", 'Invalid id: "%s"' % instance_id)
    instance = ec2._instances.get(instance_id)
    if instance is None:
        raise Refusal("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist" % instance_id)
    if instance["State"]["Name"] != "stopped":
        # EC2 reboots an instance that runs. A folder that is written to cannot be copied.
        message = "The instance '%s' is %s: the local cloud makes images of stopped instances only."
        raise Refusal("IncorrectInstanceState", message % (instance_id, instance["State"]["Name"]))
    return instance


def _snapshot(instance: Dict[str, Any], image: Dict[str, Any], tags: Dict[str, str]) -> Any:
    """Makes the snapshots of an instance's volumes, and names them in its image."""
    snapshots = []
    for mapping in instance["BlockDeviceMappings"]:
        about = "Created by CreateImage(%s) for %s" % (instance["InstanceId"], image["ImageId"])
        made = ec2._create_snapshot({"VolumeId": [mapping["Ebs"]["VolumeId"]], "Description": [about]})
        found = re.search(rb"<snapshotId>(.*)</snapshotId>", made[2])
        if found is None:
            continue  # its volume was deleted
        snapshot = ec2._snapshots[found.group(1).decode()]
        snapshot.update(State="pending", Progress="0%")
        _set_tags(snapshot["SnapshotId"], tags)
        ebs = {"SnapshotId": snapshot["SnapshotId"], "VolumeSize": snapshot["VolumeSize"], "VolumeType": "gp3"}
        image["BlockDeviceMappings"].append({"DeviceName": mapping["DeviceName"], "Ebs": ebs})
        snapshots.append(snapshot)
    return snapshots


def _set_tags(resource_id: str, tags: Dict[str, str]) -> None:
    if tags:
        ec2._tags[resource_id] = [{"Key": key, "Value": value} for key, value in tags.items()]


def _folder_of(instance_id: str) -> Optional[str]:
    """The folder of an instance's disk, by its tag; None if it has no disk."""
    for tag in ec2._tags.get(instance_id, []):
        if tag["Key"] == "runctl:root" and tag["Value"].endswith("/root"):
            return tag["Value"][: -len("/root")]
    return None


def _delete_snapshot(p: Params) -> Answer:
    snapshot_id = text(p, "SnapshotId")
    for image in ec2._images.values():
        if any(mapping.get("Ebs", {}).get("SnapshotId") == snapshot_id for mapping in image["BlockDeviceMappings"]):
            message = "The snapshot %s is currently in use by %s" % (snapshot_id, image["ImageId"])
            raise Refusal("InvalidSnapshot.InUse", message)
    answer = ec2._delete_snapshot(p)
    ec2._tags.pop(snapshot_id, None)
    return answer
