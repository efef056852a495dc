"""Drives a fake tenant with Zscaler's own client. Arguments: kind of login, URL, configuration as JSON."""

import json
import os
import sys
import time

login, url, configuration = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
# The documented way to point the legacy client elsewhere.
os.environ["ZIA_OVERRIDE_URL"] = url

from zscaler.oneapi_client import Client, LegacyZIAClient
from zscaler.oneapi_oauth_client import OAuth
from zscaler.request_executor import RequestExecutor

if login == "legacy":
    client = LegacyZIAClient(
        {
            "username": configuration["username"],
            "password": configuration["password"],
            "api_key": configuration["api_key"],
            "cloud": "zscaler",
        }
    )
else:
    # OneAPI has no such setting: the two hosts are all that is replaced.
    OAuth._get_auth_url = lambda self, vanity, cloud: f"{url}/oauth2/v1/token"
    RequestExecutor._resolve_api_base_url = lambda self: url
    options = {"clientId": configuration["client_id"], "vanityDomain": "fake", "cloud": "production"}
    if login == "oneapi":
        options["clientSecret"] = configuration["client_secret"]
    else:
        options["privateKey"] = configuration["private_key"]
    client = Client(options)

checks = 0


def expect(what, answer, test):
    global checks
    checks += 1
    # The fake keeps the documented limit of one write a second.
    time.sleep(1.1)
    value, error = answer[0], answer[-1]
    if error is not None or not test(value):
        sys.exit(f"{what}: not as expected: {value!r} {error!r}")
    return value


def refused(what, answer, part):
    global checks
    checks += 1
    time.sleep(1.1)
    if answer[-1] is None or part not in str(answer[-1]):
        sys.exit(f"{what}: not refused as expected: {answer!r}")


zia = client.zia
lists, atp, categories, activation = (
    zia.security_policy_settings,
    zia.atp_policy,
    zia.url_categories,
    zia.activate,
)


def urls(answer):
    """Lists come as such or as an attribute, by method."""
    return sorted(getattr(answer, "blacklist_urls", answer))


expect("an empty denylist", lists.get_blacklist(), lambda got: urls(got) == [])
expect("add", lists.add_urls_to_blacklist(["a.org", "b.org"]), lambda got: True)
expect("the denylist", lists.get_blacklist(), lambda got: urls(got) == ["a.org", "b.org"])
expect("the same by the newer name", atp.get_atp_malicious_urls(), lambda got: urls(got) == ["a.org", "b.org"])
expect("add by the newer name", atp.add_atp_malicious_urls(["c.org"]), lambda got: True)
expect("remove", lists.delete_urls_from_blacklist(["a.org"]), lambda got: True)
expect("what is left", lists.get_blacklist(), lambda got: urls(got) == ["b.org", "c.org"])
refused("a bad entry", lists.add_urls_to_blacklist(["http://Bad.org"]), "Invalid urls")

made = expect(
    "a category",
    categories.add_url_category(
        configured_name="driven", super_category="USER_DEFINED", urls=["d.org"], description="by the client"
    ),
    lambda got: got.as_dict()["urls"] == ["d.org"],
)
made = made.as_dict()
expect(
    "add to it",
    categories.add_urls_to_category(made["id"], configured_name="driven", urls=["e.org"]),
    lambda got: sorted(got.as_dict()["urls"]) == ["d.org", "e.org"],
)
expect(
    "take from it",
    categories.delete_urls_from_category(made["id"], configured_name="driven", urls=["d.org"]),
    lambda got: got.as_dict()["urls"] == ["e.org"],
)
expect(
    "it as listed",
    categories.list_categories(query_params={"custom_only": True}),
    lambda got: [(one.as_dict()["id"], one.as_dict()["description"]) for one in got] == [(made["id"], "by the client")],
)
expect("the quota", (categories.get_quota(), None), lambda got: "24997" in str(got))
expect("rules", zia.url_filtering.list_rules(), lambda got: got[0].as_dict()["action"] == "BLOCK")
expect("pending", activation.status(), lambda got: got.as_dict()["status"] == "PENDING")
expect("activate", activation.activate(), lambda got: got.as_dict()["status"] in ("ACTIVE", "INPROGRESS"))
time.sleep(5)
expect("active", activation.status(), lambda got: got.as_dict()["status"] == "ACTIVE")
print(f"{login}: {checks} answers as expected")
