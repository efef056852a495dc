"""Drives a fake Panorama with a device group of two firewalls with the vendor's own client.
Arguments: URL, API key, name of the device group."""

import sys
from urllib.parse import quote, urlparse

from panos.errors import PanDeviceError
from panos.objects import AddressGroup, AddressObject
from panos.panorama import DeviceGroup, Panorama, PanoramaCommit, PanoramaCommitAll

url, key, name = sys.argv[1:]
place = urlparse(url)
# The client sends a key as it is, so it must be encoded already.
panorama = Panorama(place.hostname, api_key=quote(key, safe=""), port=place.port)
checks = 0


def expect(what, found, wanted):
    global checks
    checks += 1
    if found != wanted:
        sys.exit(f"{what}: expected {wanted!r}, got {found!r}")


info = panorama.refresh_system_info()
expect("version and model", (info.version, info.platform), ("10.2.9", "Panorama"))

# Objects of the device group.
group = panorama.add(DeviceGroup(name))
address = group.add(AddressObject("drive-1", "45.83.0.9", description="it's <b>&"))
address.create()
members = group.add(AddressGroup("drive-group", static_value=["drive-1"]))
members.create()
found = {it.name: it for it in AddressObject.refreshall(group, add=False)}
expect("an object", (found["drive-1"].value, found["drive-1"].description), ("45.83.0.9", "it's <b>&"))
expect("pending", panorama.pending_changes(), True)

# First to Panorama, then to the firewalls.
result = panorama.commit(cmd=PanoramaCommit(admins=["svc-cordon"], description="drive"), sync=True)
expect("a commit", (result["success"], result["result"]), (True, "OK"))
expect("nothing pending", panorama.pending_changes(), False)


def push(**more):
    command = PanoramaCommitAll(
        PanoramaCommitAll.STYLE_DEVICE_GROUP, name, description="drive", include_template=False, **more
    )
    return panorama.commit(cmd=command, sync=True, sync_all=True)


result = push(admins=["svc-cordon"])
expect("a push", result["success"], True)
expect(
    "its firewalls",
    {serial: device["result"] for serial, device in result["devices"].items()},
    {"012801000001": "OK", "012801000002": "OK"},
)
# What the client calls messages are lines among the errors, of a success too.
expect(
    "what they say",
    {device["messages"] for device in result["devices"].values()},
    {"Configuration committed successfully"},
)
try:
    push(devices=["0999"])
    sys.exit("a firewall of no group was pushed to")
except PanDeviceError:
    checks += 1
members.delete()
address.delete()
result = panorama.commit(cmd=PanoramaCommit(admins=["svc-cordon"]), sync=True)
expect("a second commit", result["result"], "OK")
expect("a second push", push(devices=["012801000001", "012801000002"])["success"], True)

print(f"pan-os-python and Panorama: {checks} checks")
