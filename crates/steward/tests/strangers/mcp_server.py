"""A server of tools on the official MCP SDK, to stand behind a node: steward tool add sdk -- env PYTHONPATH=/programs/mcp python3 …

What it keeps, it keeps in /data, its own folder.
"""

from pathlib import Path

from mcp.server import MCPServer

server = MCPServer("notes")
NOTES = Path("/data/notes.txt")


@server.tool()
def note(text: str) -> str:
    """Adds a line to the notes."""
    with NOTES.open("a") as notes:
        notes.write(f"{text}\n")
    return "noted"


@server.tool()
def notes() -> str:
    """Gives the notes."""
    return NOTES.read_text() if NOTES.exists() else ""


server.run(transport="stdio")
