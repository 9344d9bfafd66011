"""Uses the local cloud through boto3, with the variables of `runctl local env`."""

import io
import json
import sys
import urllib.request

import boto3
from botocore.config import Config

bucket, document, instance = sys.argv[1:]
key = "boto/a b+c/\u00fc%20(1).txt"
s3 = boto3.client("s3")
s3.put_object(Bucket=bucket, Key=key, Body=b"put", Metadata={"runctl": '{"a":  1}'})
assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"put"
assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="boto/")["Contents"]] == [key]

# Several parts, and a stream whose length is unknown.
large = bytes(9 * 1024 * 1024 + 1)
s3.upload_fileobj(io.BytesIO(large), bucket, "boto/large")
assert s3.head_object(Bucket=bucket, Key="boto/large")["ContentLength"] == len(large)
s3.download_file(bucket, "boto/large", "/dev/null")

parameters = {"Bucket": bucket, "Key": key}
s3v4 = boto3.client("s3", config=Config(signature_version="s3v4"))
posts, urls = [], []
for presigner in [s3, s3v4]:
    put = presigner.generate_presigned_url("put_object", parameters)
    request = urllib.request.Request(put, data=b"presigned", method="PUT", headers={"Content-Type": ""})
    assert urllib.request.urlopen(request).status == 200
    get = presigner.generate_presigned_url("get_object", parameters)
    urls.append(get)
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"presigned"
    conditions = [["starts-with", "$key", "boto/"], ["content-length-range", 0, 100]]
    posts.append(presigner.generate_presigned_post(bucket, "boto/posted", Conditions=conditions))

boto3.client("stepfunctions").list_state_machines()
boto3.client("logs").describe_log_groups()
boto3.client("cloudformation").describe_stacks()
boto3.client("lambda").list_functions()
boto3.client("ec2").describe_instances()
boto3.client("cloudwatch").put_metric_data(Namespace="boto", MetricData=[{"MetricName": "m", "Value": 1}])
assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"
ssm = boto3.client("ssm")
sent = ssm.send_command(
    InstanceIds=[instance], DocumentName=document, Parameters={"commands": ["echo from boto3"]}
)["Command"]["CommandId"]
ssm.get_waiter("command_executed").wait(CommandId=sent, InstanceId=instance, WaiterConfig={"Delay": 1})
output = ssm.get_command_invocation(CommandId=sent, InstanceId=instance)["StandardOutputContent"]
ssm.put_parameter(Name="/boto/x", Value="y", Type="String", Overwrite=True)
assert ssm.get_parameter(Name="/boto/x")["Parameter"]["Value"] == "y"

role = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/any", RoleSessionName="boto")["Credentials"]
keys = {"aws_access_key_id": role["AccessKeyId"], "aws_secret_access_key": role["SecretAccessKey"]}
assert boto3.client("s3", aws_session_token=role["SessionToken"], **keys).list_buckets()["Buckets"]
assert boto3.client("ssm", aws_session_token=role["SessionToken"], **keys).list_documents()["DocumentIdentifiers"]

print(json.dumps({"output": output, "posts": posts, "urls": urls}))
