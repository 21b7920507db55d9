#!/bin/sh
# An agent that uses tools of two servers which we did not write, behind the node: the reference filesystem server, and one on the
# official MCP SDK. It ends with an error at the first thing that is not as it should be.
set -eu

call() { steward mcp call "$@"; }
fails() { if "$@" >/tmp/out 2>&1; then echo "this should be refused: $*" >&2; exit 1; fi; cat /tmp/out; }
has() { grep -q -- "$1" "$2" || { echo "no '$1' in:" >&2; cat "$2" >&2; exit 1; }; }

packet=$(steward mcp read steward://packet)
path=$(printf %s "$packet" | sed -n 's/.*"deliverables":\["\([^"]*\)".*/\1/p')
steward mcp tools >/tmp/tools
has '^filesystem__write_file' /tmp/tools
has '^sdk__note ' /tmp/tools
if grep -q move_file /tmp/tools; then echo "a tool that is not allowed is offered" >&2; exit 1; fi

call submit_plan "{\"summary\":\"Use tools of others.\",\"steps\":[{\"step\":\"write\",\"artifact\":\"$path\"}]}"
call filesystem__write_file '{"path":"/data/a.txt","content":"by the filesystem server"}'
call filesystem__read_text_file '{"path":"/data/a.txt"}' >/tmp/read
has 'by the filesystem server' /tmp/read
# It keeps to its folder by itself, and says so: an error of the tool, not of the node.
fails call filesystem__read_text_file '{"path":"/etc/passwd"}' >/tmp/read
has 'denied' /tmp/read
call sdk__note '{"text":"by the SDK"}'
call sdk__notes >/tmp/read
has 'by the SDK' /tmp/read
# Arguments that are not the tool's are refused before anything is sent.
fails call sdk__note '{"txt":"x"}' >/tmp/read
has 'INVALID_REQUEST' /tmp/read
call fs_write "{\"path\":\"$path\",\"content\":\"# Summary\\n\"}"
call finish
