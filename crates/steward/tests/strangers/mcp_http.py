"""The official MCP SDK (Python) over Streamable HTTP: in a sandbox by its door, elsewhere with an agent's key.

    env PYTHONPATH=/programs/mcp python3 /programs/mcp_http.py [auto|legacy|REVISION]
    STEWARD_URL=http://127.0.0.1:7878 STEWARD_KEY=stw_… PYTHONPATH=DIR/mcp python3 mcp_http.py
"""

import asyncio
import os
import sys

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp_story import story


async def main(mode):
    if inside := os.environ.get("STEWARD_MCP_URL"):
        return await story(inside, mode)
    headers = {"Authorization": f"Bearer {os.environ['STEWARD_KEY']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=120) as http:
        await story(streamable_http_client(f"{os.environ['STEWARD_URL']}/mcp", http_client=http), mode)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "auto"))
