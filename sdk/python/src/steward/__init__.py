"""For agents that run under Steward: the run that one is in, its instructions and its tools.

    from steward import Run

    run = Run.from_env()
    run.plan("Write the report.", [{"step": "write it", "artifact": "/reports/a.md"}])
    run.write("/reports/a.md", "# Summary\n")
    run.finish()

Deliberately absent: threads, retries of what may have happened, and a model.
"""

from .errors import Failed, Refused, StewardError, Unavailable
from .run import Output, Page, Run, Step

__all__ = ["Failed", "Output", "Page", "Refused", "Run", "Step", "StewardError", "Unavailable"]
