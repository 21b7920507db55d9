"""A LangGraph agent with the run's tools, by LangChain's MCP adapters, through a whole run.

    env PYTHONPATH=/programs/site python3 /programs/langgraph_agent.py

The model is the node's, by OPENAI_BASE_URL (MODEL names it, else the first that is offered). Where no model answers, a scripted one
takes its place, so that the rest can be tried.
"""

import asyncio
import json
import os
import urllib.request

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode


class Scripted(BaseChatModel):
    """Says what it is to say, in order: each is a tool and its arguments."""

    script: list

    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **_):
        unknown = {name for name, _ in self.script} - {tool.name for tool in tools}
        assert not unknown, f"the run has no {unknown}"
        return self

    def _generate(self, messages, stop=None, run_manager=None, **_):
        said = sum(isinstance(message, AIMessage) for message in messages)
        name, arguments = self.script[said]
        if name == "finish":  # what this one is shown is what a model would be shown
            told = [message for message in messages if isinstance(message, ToolMessage)]
            assert [message.status for message in told] == ["success", "error", "success", "success"], told
            assert "OUT_OF_SCOPE" in str(told[1].content), told[1]
        call = {"name": name, "args": arguments, "id": f"call_{said}"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="", tool_calls=[call]))])


def offered():
    """The models that the node offers; none if it offers none."""
    base = os.environ.get("OPENAI_BASE_URL")
    if not base:
        return []
    headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{base}/models", headers=headers), timeout=30) as answer:
            return [model["id"] for model in json.load(answer)["data"]]
    except (OSError, ValueError, KeyError):
        return []


def chat_model(packet):
    if models := offered():
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=os.environ.get("MODEL", models[0]))
    path = packet["deliverables"][0]
    text = f"# Summary\n\n{packet['objective']}\n"
    return Scripted(
        script=[
            ("submit_plan", {"summary": "Write it.", "steps": [{"step": "write it", "artifact": path}]}),
            ("fs_write", {"path": "/elsewhere/a.md", "content": "x"}),  # refused; the graph goes on
            ("fs_write", {"path": path, "content": text}),
            ("fs_read", {"path": path}),
            ("finish", {"summary": "Done."}),
        ]
    )


def server():
    """The run's MCP server: the sandbox's, else the node's, with a key."""
    if inside := os.environ.get("STEWARD_MCP_URL"):
        return {"transport": "streamable_http", "url": inside}
    key = {"Authorization": f"Bearer {os.environ['STEWARD_KEY']}"}
    return {"transport": "streamable_http", "url": f"{os.environ['STEWARD_URL']}/mcp", "headers": key}


async def main():
    client = MultiServerMCPClient({"steward": server()})
    tools = await client.get_tools()
    [packet] = await client.get_resources("steward", uris=["steward://packet"])
    packet = json.loads(packet.as_string())
    model = chat_model(packet).bind_tools(tools)

    async def think(state):
        return {"messages": [await model.ainvoke(state["messages"])]}

    def go_on(state):
        return "act" if state["messages"][-1].tool_calls else END

    def finished(state):
        last = state["messages"][-1]
        return END if last.name == "finish" and last.status != "error" else "think"

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    # What is refused is told to the model, which may try another way.
    graph.add_node("act", ToolNode(tools, handle_tool_errors=True))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", go_on)
    graph.add_conditional_edges("act", finished)
    begin = [
        SystemMessage("You are an agent in a governed run. Submit a plan, act within the packet's scope, then finish."),
        HumanMessage(json.dumps(packet)),
    ]
    state = await graph.compile().ainvoke({"messages": begin}, {"recursion_limit": 50})
    answers = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    for answer in answers:
        print(f"{answer.name}: {answer.status}: {str(answer.content)[:160]}")
    assert answers[-1].name == "finish" and answers[-1].status == "success", answers[-1]


asyncio.run(main())
