"""The official MCP SDK (Python) in a sandbox, with `steward mcp` as its stdio server.

    env PYTHONPATH=/programs/mcp python3 /programs/mcp_stdio.py [auto|legacy|REVISION]
"""

import asyncio
import os
import sys

from mcp import StdioServerParameters
from mcp_story import story

# The SDK hands on only a part of the environment, and the node is found by a variable.
server = StdioServerParameters(command="steward", args=["mcp"], env=dict(os.environ))
asyncio.run(story(server, sys.argv[1] if len(sys.argv) > 1 else "auto"))
