"""Drives a fake Falcon with CrowdStrike's own client. Arguments: URL, client id, client secret."""

import sys

from falconpy import IOC, OAuth2

url, client_id, client_secret = sys.argv[1:]
falcon = IOC(client_id=client_id, client_secret=client_secret, base_url=url, ssl_verify=False)
checks = 0


def expect(what, answer, status, test=None):
    global checks
    checks += 1
    if answer["status_code"] != status:
        sys.exit(f"{what}: expected {status}, got {answer}")
    if test is not None and not test(answer["body"]):
        sys.exit(f"{what}: not as expected: {answer}")
    return answer["body"]


def row(number, **more):
    fields = {
        "type": "sha256",
        "value": f"{number:064x}",
        "action": "prevent",
        "severity": "high",
        "platforms": ["windows", "mac", "linux"],
        "applied_globally": True,
        "source": "drive",
        "description": "first",
    }
    return {**fields, **more}


created = expect(
    "create",
    falcon.indicator_create(body={"indicators": [row(1), row(2), row(3)]}),
    201,
    lambda body: len(body["resources"]) == 3,
)
ids = [resource["id"] for resource in created["resources"]]

expect(
    "search",
    falcon.indicator_search(filter="source:'drive'+deleted:false", limit=2),
    200,
    lambda body: body["meta"]["pagination"]["total"] == 3 and body["resources"] == ids[:2],
)
seen, after = [], None
while True:
    more = {"after": after} if after else {}
    page = expect("combined", falcon.indicator_combined(filter="source:'drive'", limit=2, **more), 200)
    if not page["resources"]:
        break
    seen += [resource["id"] for resource in page["resources"]]
    after = page["meta"]["pagination"]["after"]
if seen != ids:
    sys.exit(f"combined: expected {ids}, got {seen}")

expect("get", falcon.indicator_get(ids=ids), 200, lambda body: [r["value"] for r in body["resources"]] == [f"{n:064x}" for n in (1, 2, 3)])
expect(
    "update",
    falcon.indicator_update(body={"indicators": [{"id": ids[0], "description": "second"}]}),
    200,
    lambda body: body["resources"][0]["description"] == "second" and body["resources"][0]["action"] == "prevent",
)
expect(
    "duplicate",
    falcon.indicator_create(body={"indicators": [row(1), row(4)]}),
    400,
    lambda body: body["errors"][0]["code"] == 400,
)
expect("nothing of a refused batch", falcon.indicator_search(filter="source:'drive'"), 200, lambda body: len(body["resources"]) == 3)
expect(
    "delete",
    falcon.indicator_delete(ids=ids[:2], comment="driven"),
    200,
    lambda body: sorted(body["resources"]) == sorted(ids[:2]),
)
expect("deleted by id", falcon.indicator_get(ids=ids[0]), 200, lambda body: body["resources"][0]["deleted"] is True)
expect("what is left", falcon.indicator_search(filter="source:'drive'"), 200, lambda body: body["resources"] == [ids[2]])
expect("actions", falcon.action_query(), 200, lambda body: "prevent" in body["resources"])
expect("action details", falcon.action_get(ids=["prevent"]), 200, lambda body: "windows" in body["resources"][0]["platforms_by_type"]["sha256"])
expect("types", falcon.ioc_type_query(), 200, lambda body: "sha256" in body["resources"])
expect("platforms", falcon.platform_query(), 200, lambda body: "linux" in body["resources"])
expect("severities", falcon.severity_query(), 200, lambda body: "high" in body["resources"])
expect("bad filter", falcon.indicator_search(filter="nonsense"), 400, lambda body: body["errors"])
expect("ended token", falcon.indicator_search(filter="source:'end-the-token'"), 401, lambda body: "invalid bearer token" in body["errors"][0]["message"])
wrong = OAuth2(client_id=client_id, client_secret="wrong" * 8, base_url=url, ssl_verify=False)
expect("wrong secret", wrong.login(), 403, lambda body: "access denied" in body["errors"][0]["message"])
print(f"{checks} answers as expected")
