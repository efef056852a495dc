"""Drives `cordon mcp` with the official client, and prints what it saw as one JSON object."""

import asyncio
import json
import sys

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SHA256 = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7"


async def main(mode, binary, configuration):
    server = StdioServerParameters(
        command=binary, args=["mcp", "--allow-writes", "--config", configuration]
    )
    seen = {}
    async with Client(stdio_client(server), mode=mode) as client:
        seen["version"] = client.protocol_version
        seen["server"] = client.server_info.name
        tools = (await client.list_tools()).tools
        seen["tools"] = [tool.name for tool in tools]
        seen["read_only"] = [tool.name for tool in tools if tool.annotations.read_only_hint]

        async def call(name, arguments):
            # The client checks what comes back against the tool's output schema.
            return await client.call_tool(f"falcon_{name}", arguments)

        async def report(name, arguments):
            result = await call(name, arguments)
            assert not result.is_error, result
            return result.structured_content

        for key, name in [("tried", "block_dry_run"), ("blocked", "block")]:
            done = await report(name, {"values": [SHA256], "valid_for": 3})
            seen[key] = {"dry_run": done["dry_run"], "added": done["added"]}
        seen["listed"] = (await report("list_blocked", {}))["count"]
        done = await report("unblock", {"values": [SHA256]})
        seen["unblocked"] = done["removed"]["withdrawn"]
        seen["check"] = (await report("check", {}))["status"]
        refused = await call("block", {"vales": [SHA256]})
        assert refused.is_error, refused
        seen["refused"] = refused.content[0].text
        try:
            await call("no_such_tool", {})
        except Exception as error:
            seen["unknown"] = str(error)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:]))
