"""The official Prometheus client's parser reads what a node gives at /metrics, and finds what has to be there.

It fails with a traceback at the first thing that is not as the format has it. STEWARD_URL and STEWARD_KEY say where, and as whom.
"""

import os
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

request = urllib.request.Request(
    os.environ["STEWARD_URL"] + "/metrics", headers={"Authorization": "Bearer " + os.environ["STEWARD_KEY"]}
)
with urllib.request.urlopen(request, timeout=30) as answer:
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers
    text = answer.read().decode()

families = {family.name: family for family in text_string_to_metric_families(text)}
lines = [line for line in text.splitlines() if not line.startswith("#")]
assert sum(len(family.samples) for family in families.values()) == len(lines), "every line is a sample"
assert all(family.documentation and family.type in ("counter", "gauge", "histogram") for family in families.values())
assert families["steward_ledger_entries"].samples[0].value > 0
assert families["steward_store_commit_seconds"].type == "histogram"
assert families["process_resident_memory_bytes"].samples[0].value > 1e6
assert len(families["steward_alert_firing"].samples) >= 10
print(f"{len(families)} families, {len(lines)} samples")
