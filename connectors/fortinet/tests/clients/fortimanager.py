"""Drives a fake FortiManager with pyFMG. Arguments: host and port, user, password, ADOM, package, firewall."""

import sys

from pyFMG.fortimgr import FortiManager

host, user, password, adom, package, firewall = sys.argv[1:]
objects = f"/pm/config/adom/{adom}/obj/firewall"
checks = 0


def expect(what, answer, code, test=None):
    global checks
    checks += 1
    if answer[0] != code:
        sys.exit(f"{what}: expected {code}, got {answer}")
    if test is not None and not test(answer[1]):
        sys.exit(f"{what}: not as expected: {answer}")
    return answer[1]


with FortiManager(host, user, password, use_ssl=False, verify_ssl=False, disable_request_warnings=True) as manager:
    node = {"name": "driven", "type": "ipmask", "subnet": ["9.8.7.6", "255.255.255.255"]}
    expect("write without the lock", manager.add(f"{objects}/address", data=node), -10147)
    expect("lock", manager.lock_adom(adom), 0)
    expect("add", manager.add(f"{objects}/address", data=node), 0)
    expect("add twice", manager.add(f"{objects}/address", data=node), -2)
    expect("set", manager.set(f"{objects}/address", data=node), 0)
    expect("group", manager.add(f"{objects}/addrgrp", data={"name": "cordon-v4-099", "member": ["driven"]}), 0)
    expect("delete what is used", manager.delete(f"{objects}/address/driven"), -10015)
    expect("commit", manager.commit_changes(adom), 0)
    expect("unlock", manager.unlock_adom(adom), 0)
    expect("read", manager.get(f"{objects}/address/driven"), 0, lambda row: row["subnet"] == ["9.8.7.6", "255.255.255.255"])
    expect("no such url", manager.get("/nowhere"), -6)
    scope = [{"name": firewall, "vdom": "root"}]
    task = expect(
        "install",
        manager.execute("/securityconsole/install/package", adom=adom, pkg=package, scope=scope),
        0,
    )["task"]
    for _ in range(10):
        told = expect("task", manager.get(f"/task/task/{task}"), 0)
        if told["percent"] == 100:
            break
    if told["num_err"] != 0:
        sys.exit(f"the install failed: {told}")
    expect(
        "through the proxy",
        manager.execute(
            "/sys/proxy/json",
            action="get",
            resource="/api/v2/cmdb/firewall/address/driven",
            target=[f"adom/{adom}/device/{firewall}"],
        ),
        0,
        lambda rows: rows[0]["response"]["results"][0]["name"] == "driven",
    )
print(f"{checks} answers as expected")
