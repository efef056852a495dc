"""Drives a fake PAN-OS firewall with the vendor's own client. Arguments: URL, API key."""

import sys
from urllib.parse import quote, urlparse

from panos.errors import PanDeviceError, PanLockError
from panos.firewall import Firewall
from panos.objects import AddressGroup, AddressObject, Tag

url, key = sys.argv[1:]
place = urlparse(url)
# The client sends a key as it is, so it must be encoded already.
firewall = Firewall(place.hostname, api_key=quote(key, safe=""), port=place.port)
checks = 0


def expect(what, found, wanted):
    global checks
    checks += 1
    if found != wanted:
        sys.exit(f"{what}: expected {wanted!r}, got {found!r}")


info = firewall.refresh_system_info()
expect("version and model", (info.version, info.platform), ("10.2.9", "PA-3440"))
expect("password makes a key", bool(Firewall(place.hostname, "ana", "Correct&Horse+1%", port=place.port).api_key), True)

# Registered addresses, more than a page of them.
everything = firewall.userid.get_registered_ip()
expect("all pages", len(everything), 620)
firewall.userid.register(["45.83.0.1", "2a03:5f80:1::1"], ["cordon-a", "drive"], timeout=600)
expect("by address", sorted(firewall.userid.get_registered_ip(ip="45.83.0.1")["45.83.0.1"]), ["cordon-a", "drive"])
expect("by tag", sorted(firewall.userid.get_registered_ip(tags="drive")), ["2a03:5f80:1::1", "45.83.0.1"])
firewall.userid.register("45.83.0.1", "drive")  # a double, which the client ignores
firewall.userid.unregister("45.83.0.1", ["drive", "cordon-a"])
expect("unregistered", firewall.userid.get_registered_ip(ip="45.83.0.1"), {})
firewall.userid.batch_start()
firewall.userid.register("45.83.0.2", ["drive"])
firewall.userid.unregister("2a03:5f80:1::1", ["drive"])
firewall.userid.batch_end()
expect("a batch", sorted(firewall.userid.get_registered_ip(tags="drive")), ["45.83.0.2"])
firewall.userid.audit_registered_ip_for_tag("drive", ["45.83.0.3", "45.83.0.4"])
expect("an audit", sorted(firewall.userid.get_registered_ip(tags="drive")), ["45.83.0.3", "45.83.0.4"])

# Configuration.
tag = firewall.add(Tag("drive"))
tag.create()
address = firewall.add(AddressObject("drive-1", "45.83.0.9", description="it's <b>&", tag=["drive"]))
address.create()
group = firewall.add(AddressGroup("drive-group", static_value=["drive-1"]))
group.create()
found = {it.name: it for it in AddressObject.refreshall(firewall, add=False)}
expect("an object", (found["drive-1"].value, found["drive-1"].description), ("45.83.0.9", "it's <b>&"))
expect("pending", firewall.pending_changes(), True)
try:
    address.delete()
    sys.exit("a referenced object was deleted")
except PanDeviceError:
    checks += 1

# Locks and commits.
firewall.add_commit_lock(comment="drive", scope="vsys1")
try:
    firewall.add_commit_lock(scope="vsys1")
    sys.exit("two commit locks")
except PanLockError:
    checks += 1
firewall.remove_commit_lock(scope="vsys1")
result = firewall.commit(sync=True, admins=["svc-cordon"])
expect("a commit", (result["success"], result["result"]), (True, "OK"))
expect("nothing pending", firewall.pending_changes(), False)
expect("nothing to commit", firewall.commit(sync=True), None)
group = firewall.find("drive-group", AddressGroup)
group.delete()
firewall.find("drive-1", AddressObject).delete()
result = firewall.commit(sync=True)
expect("a second commit", result["result"], "OK")
expect("gone", [it for it in AddressObject.refreshall(firewall, add=False) if it.name == "drive-1"], [])

print(f"pan-os-python: {checks} checks")
