"""Drives a fake FortiGate with fortigate-api. Arguments: port, API key."""

import sys

from fortigate_api import FortiGate

port, token = sys.argv[1:]
firewall = FortiGate(host="127.0.0.1", scheme="http", port=int(port), token=token)
firewall.login()
checks = 0


def expect(what, answer, status, test=None):
    global checks
    checks += 1
    if answer.status_code != status:
        sys.exit(f"{what}: expected {status}, got {answer.status_code} {answer.text}")
    if test is not None and not test(answer.json()):
        sys.exit(f"{what}: not as expected: {answer.text}")


address = "/api/v2/cmdb/firewall/address"
group = "/api/v2/cmdb/firewall/addrgrp"
banned = "/api/v2/monitor/user/banned"
feed = "/api/v2/monitor/system/external-resource"

host = {"name": "driven", "type": "ipmask", "subnet": "9.8.7.6 255.255.255.255"}
expect("create", firewall.post(address, host), 200, lambda body: body["mkey"] == "driven")
expect("create twice", firewall.post(address, host), 500, lambda body: body["error"] == -5)
expect("group", firewall.post(group, {"name": "Driven", "member": [{"name": "driven"}]}), 200)
expect("delete a member", firewall.delete(f"{address}/driven"), 500, lambda body: body["error"] == -23)
expect("leave", firewall.delete(f"{group}/Driven/member/driven"), 200)
expect("delete", firewall.delete(f"{address}/driven"), 200)
expect("gone", firewall.get(f"{address}/driven"), 404, lambda body: "error" not in body)
expect("ban", firewall.post(f"{banned}/add_users", {"ip_addresses": ["9.8.7.6", "2600::1"], "expiry": 600}), 200)
expect(
    "bans",
    firewall.get(banned),
    200,
    lambda body: {"9.8.7.6", "2600:0000:0000:0000:0000:0000:0000:0001"} <= {row["ip_address"] for row in body["results"]},
)
expect("unban", firewall.post(f"{banned}/clear_users", {"ip_addresses": ["9.8.7.6", "2600::1"]}), 200)
expect("pull", firewall.post(f"{feed}/refresh", {"mkey": "cordon-list-ip"}), 200, lambda body: body["results"]["status"] == "start")
push = {"commands": [{"name": "cordon-ip", "command": "add", "entries": ["9.8.7.6"]}]}
expect("push", firewall.post(f"{feed}/dynamic", push), 200, lambda body: body["results"][0]["status"] == "success")
expect("entries", firewall.get(f"{feed}/entry-list?mkey=cordon-ip"), 200)
print(f"{checks} answers as expected")
