"""An S3 server with users and rights, by moto. Prints what a test needs as one line of JSON, and then, for
each line on standard input, all objects of the bucket."""

import json
import logging
import sys

import boto3
import requests
from moto.server import ThreadedMotoServer

BUCKET = "data-of-playbooks"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}

# One line for every request says nothing to whoever reads the tests.
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"


def client(service, key_id="anybody", key="anybody"):
    return boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=key,
    )


client("s3").create_bucket(
    Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
)
iam = client("iam")
keys = {}
for user in ("allowed", "denied"):
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    keys[user] = [key["AccessKeyId"], key["SecretAccessKey"]]
iam.put_user_policy(
    UserName="allowed", PolicyName="everything", PolicyDocument=json.dumps(EVERYTHING)
)
# From here on signatures and rights are checked.
requests.post(f"{endpoint}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()

s3 = client("s3", *keys["allowed"])
with open(sys.argv[1], "rb") as content:
    s3.put_object(Bucket=BUCKET, Key="runs/7/in/objects.json", Body=content.read())
print(json.dumps({"endpoint": endpoint, "bucket": BUCKET, "keys": keys}), flush=True)

for _ in sys.stdin:
    objects = {}
    for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        body = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        objects[item["Key"]] = body.decode()
    print(json.dumps(objects), flush=True)
