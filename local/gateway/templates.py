"""Launch templates, with what the emulator lets pass: unknown ones and versions, and images named by a parameter."""

import re
from typing import Any, Dict, Tuple
from xml.sax.saxutils import escape

from ec2_calls import Answer, Params, Refusal, missing, replace, text
from ministack.services import ec2, ssm

_ID = re.compile(r"^lt-[0-9a-f]{8,17}$")
_ALIAS = "resolve:ssm:"
_ALIAS_TYPE = "aws:ec2:image"
_ALIAS_IN_XML = re.compile(r"(?<=<imageId>)%s[^<]*(?=</imageId>)" % _ALIAS)


def install() -> None:
    replace("DescribeLaunchTemplateVersions", _describe_versions)
    replace("CreateLaunchTemplateVersion", _create_version)
    replace("ModifyLaunchTemplate", _modify)
    replace("DeleteLaunchTemplate", _delete)


def launch_data(p: Params) -> Tuple[str, Dict[str, Any]]:
    """(id, data) of the template that RunInstances names. Empty if it names none."""
    if not any(name.startswith("LaunchTemplate.") for name in p):
        return "", {}
    template = _find(p, "LaunchTemplate.")
    number = _number(template, text(p, "LaunchTemplate.Version") or "$Default")
    versions = [one for one in template["Versions"] if one["VersionNumber"] == number]
    return template["LaunchTemplateId"], versions[0]["LaunchTemplateData"]


def resolve(image: str) -> str:
    """The id of an image that a template or a request names: itself, or the value of a parameter."""
    if not image.startswith(_ALIAS):
        return image
    name = image[len(_ALIAS) :]
    parameter, _ = ssm._select_parameter(name)
    if not parameter:
        raise Refusal("InvalidParameterValue", "The parameter %s of %s does not exist." % (name, image))
    if parameter["Type"] != "String" or parameter.get("DataType") != _ALIAS_TYPE:
        raise Refusal("InvalidParameterValue", "The parameter %s is not a String of %s." % (name, _ALIAS_TYPE))
    return parameter["Value"]


def _describe_versions(p: Params) -> Answer:
    template = _find(p)
    for version in ec2._parse_member_list(p, "LaunchTemplateVersion"):
        _number(template, version)
    status, headers, body = ec2._describe_launch_template_versions(p)
    if text(p, "ResolveAlias") == "true":
        body = _ALIAS_IN_XML.sub(lambda alias: escape(resolve(alias.group())), body.decode()).encode()
    return status, headers, body


def _create_version(p: Params) -> Answer:
    template = _find(p)
    source = text(p, "SourceVersion")
    if not source:
        return ec2._create_launch_template_version(p)
    return ec2._create_launch_template_version({**p, "SourceVersion": [str(_number(template, source))]})


def _modify(p: Params) -> Answer:
    template = _find(p)
    if text(p, "SetDefaultVersion"):
        _number(template, text(p, "SetDefaultVersion"))
    return ec2._modify_launch_template(p)


def _delete(p: Params) -> Answer:
    _find(p)
    return ec2._delete_launch_template(p)


def _find(p: Params, prefix: str = "") -> Dict[str, Any]:
    template_id = text(p, prefix + "LaunchTemplateId")
    name = text(p, prefix + "LaunchTemplateName")
    if template_id and name:
        raise Refusal("InvalidParameterCombination", "A launch template has an id or a name in a request, not both.")
    if not template_id and not name:
        raise missing(prefix + "LaunchTemplateId")
    if name:
        named = [one for one in ec2._launch_templates.values() if one["LaunchTemplateName"] == name]
        if not named:
            message = "The specified launch template, with template name %s, does not exist." % name
            raise Refusal("InvalidLaunchTemplateName.NotFoundException", message)
        return named[0]
    if not _ID.match(template_id):
        raise Refusal("InvalidLaunchTemplateId.Malformed", "Invalid id: %s" % template_id)
    template = ec2._launch_templates.get(template_id)
    if template is None:
        message = "The specified launch template, with template ID %s, does not exist." % template_id
        raise Refusal("InvalidLaunchTemplateId.NotFound", message)
    return template


def _number(template: Dict[str, Any], version: str) -> int:
    if version == "$Default":
        return template["DefaultVersionNumber"]
    if version == "$Latest":
        return template["LatestVersionNumber"]
    for one in template["Versions"]:
        if str(one["VersionNumber"]) == version:
            return one["VersionNumber"]
    message = "Could not find the specified version %s for the launch template with ID %s."
    raise Refusal("InvalidLaunchTemplateId.VersionNotFound", message % (version, template["LaunchTemplateId"]))
