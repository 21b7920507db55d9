#!/bin/sh
# {{name}}: an agent under Steward, as a shell script. `steward mcp` is in every sandbox: it reads what the run was told and calls the
# run's tools. What is refused or fails ends this script, which does not try it again.
# What it prints is for people; no secrets, therefore.
set -eu

# What the run is told, as one line of JSON. Task and id hold nothing that has to be unescaped; for the rest use jq, if it is there.
packet=$(steward mcp read steward://packet)
task=$(printf '%s' "$packet" | sed -n 's/.*[{,]"task_id":"\([^"]*\)".*/\1/p')
report=/reports/$task.md

# A predecessor was revoked: read what it left, and say so in the plan.
acknowledges=
if handoff=$(steward mcp read steward://handoff 2>/dev/null); then
    id=$(printf '%s' "$handoff" | grep -o '"id":"hnd_[^"]*"' | head -n 1)
    acknowledges=",\"acknowledges\":${id#*:}"
fi

steward mcp call submit_plan '{"summary": "Write the report, and count its words.", "steps": [
    {"step": "write it", "action": "fs.write:'"$report"'", "artifact": "'"$report"'"}]'"$acknowledges"'}'

# The work: this is where your agent begins. A file is sent as base 64, which needs no escaping.
printf '# Hello\n\nHello from {{name}}, about %s.\n' "$task" >/tmp/report.md
printf '{"path": "%s", "content_base64": "%s"}' "$report" "$(base64 -w 0 </tmp/report.md)" | steward mcp call fs_write -

steward mcp call exec '{"argv": ["wc", "-w", "'"${report#/}"'"]}'
steward mcp call finish '{"summary": "The report is written."}'
