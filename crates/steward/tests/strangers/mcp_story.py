"""A whole run by the official MCP SDK, whatever the transport: what mcp_stdio.py and mcp_http.py have in common.

It fails with a traceback at the first thing that is not as the protocol, or the node, has it.
"""

import json

from mcp import Client, MCPError


def said(result):
    """What a tool of the node's says: an object in its one text."""
    assert len(result.content) == 1 and result.content[0].type == "text", result
    return json.loads(result.content[0].text)


async def done(client, tool, **arguments):
    """Calls a tool that must not be refused, and waits for its answer."""
    result = await client.call_tool(tool, arguments)
    while said(result).get("status") == "pending":
        result = await client.call_tool("await_result", {"ticket": said(result)["ticket"]})
    assert not result.is_error, (tool, result)
    return said(result)


async def read(client, name):
    contents = (await client.read_resource(f"steward://{name}")).contents
    assert [one.mime_type for one in contents] == ["application/json"], contents
    return json.loads(contents[0].text)


async def story(server, mode):
    """`mode` is `legacy` (initialize), `auto`, or a revision without it."""
    async with Client(server, mode=mode) as client:
        assert client.server_info.name == "steward", client.server_info
        assert "steward://packet" in client.instructions
        assert client.server_capabilities.tools and client.server_capabilities.resources
        assert not client.server_capabilities.prompts
        if mode != "legacy":
            assert client.protocol_version >= "2026-07-28", client.protocol_version
        else:
            await client.send_ping()

        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"submit_plan", "report_problem", "finish", "await_result", "fs_read", "fs_write"} <= set(tools), list(tools)
        assert tools["fs_read"].annotations.read_only_hint and not tools["fs_write"].annotations
        assert all(tool.input_schema["type"] == "object" and tool.description for tool in tools.values())

        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert {"steward://packet", "steward://evidence"} <= set(listed), listed
        assert not (await client.list_resource_templates()).resource_templates
        try:
            await read(client, "nothing")
        except MCPError as error:
            assert "resources/list" in error.message, error
        else:
            raise AssertionError("there is no such resource")
        packet = await read(client, "packet")
        path = packet["deliverables"][0]

        steps = [{"step": "write it", "action": f"fs.write:{path}", "artifact": path}]
        plan = {"summary": "Write it.", "steps": steps}
        if "steward://handoff" in listed:
            plan["acknowledges"] = (await read(client, "handoff"))["id"]
        assert (await done(client, "submit_plan", **plan))["phase"] == "EXECUTE"

        refused = await client.call_tool("fs_write", {"path": "/elsewhere/a.md", "content": "x"})
        assert refused.is_error and said(refused)["code"] == "OUT_OF_SCOPE", refused
        assert "scope" in said(refused)["message"] and said(refused)["action"].startswith("act_"), refused
        try:
            unknown = await client.call_tool("no_such_tool", {})
        except MCPError as error:
            assert error.error.code == -32602 and "tools/list" in error.error.message, error
            assert error.error.data["code"] == "OUT_OF_SCOPE", error
        else:
            raise AssertionError(f"a tool that is unknown is an error of the protocol: {unknown}")

        text = f"# Summary\n\n{packet['objective']} — by MCP {client.protocol_version}.\n"
        assert (await done(client, "fs_write", path=path, content=text))["status"] == "succeeded"
        assert (await done(client, "fs_read", path=path))["content"] == text
        evidence = await read(client, "evidence")
        assert evidence["phase"] == "EXECUTE", evidence
        print(f"{client.protocol_version}: {json.dumps(evidence)[:400]}")

        again = [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools]
        assert again == list(tools), "the list of tools is constant"
        assert (await done(client, "finish", summary="Done."))["phase"] == "VERIFY"
