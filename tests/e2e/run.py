"""The end-to-end tests' entry: `run.py --mcplog BINARY SCENARIO [NAME]`. Needs nothing but Python's own library.

Cargo runs it (tools/mcplog/tests/end_to_end.rs); by hand it does the same. With `--keep` the work directory stays.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from harness.processes import exit_with, say
from scenarios import (
    clients_at_once,
    harness_proof,
    kill_nine,
    matrix,
    odd_traffic,
    same_view,
    schema_change,
    wrap_attached,
    wrap_fifty,
    wrap_kills,
    wrap_proof,
    wrap_tools,
    wrap_view,
)


def main():
    """Runs one scenario in a directory of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mcplog", type=Path, required=True, help="the mcplog binary under test")
    parser.add_argument("--keep", action="store_true", help="keep the work directory and say where it is")
    scenarios = parser.add_subparsers(dest="scenario", required=True)
    scenarios.add_parser("same-view").add_argument("pair", choices=sorted(same_view.PAIRS))
    scenarios.add_parser("schema-change").add_argument("era", choices=("session", "sessionless"))
    scenarios.add_parser("clients-at-once")
    scenarios.add_parser("kill-nine").add_argument("traffic", choices=("raw", "sdk"))
    scenarios.add_parser("odd-traffic")
    scenarios.add_parser("harness-proof")
    for name in ("wrap-attached", "wrap-fifty", "wrap-kills", "wrap-proof", "wrap-tools"):
        scenarios.add_parser(name)
    view = scenarios.add_parser("wrap-view")
    view.add_argument("--only", default="", metavar="PATTERN", help="only pairs with that in their name")
    every = scenarios.add_parser("matrix")
    every.add_argument("--rounds", type=int, default=1, help="how often to hold it, for what happens by chance")
    every.add_argument(
        "--only", default="", metavar="PATTERN", help="only combinations whose client's name is like that"
    )
    options = parser.parse_args()

    work = Path(tempfile.mkdtemp(prefix="mcplog-e2e-"))
    mcplog = str(options.mcplog.resolve())
    try:
        match options.scenario:
            case "same-view":
                same_view.same_view(options.pair, work, mcplog)
            case "schema-change":
                schema_change.schema_change(options.era, work, mcplog)
            case "clients-at-once":
                clients_at_once.clients_at_once(work, mcplog)
            case "kill-nine":
                kill_nine.kill_nine(options.traffic, work, mcplog)
            case "odd-traffic":
                odd_traffic.odd_traffic(work, mcplog)
            case "harness-proof":
                harness_proof.harness_proof(work, mcplog)
            case "wrap-attached":
                wrap_attached.wrap_attached(work, mcplog)
            case "wrap-fifty":
                wrap_fifty.wrap_fifty(work, mcplog)
            case "wrap-kills":
                wrap_kills.wrap_kills(work, mcplog)
            case "wrap-proof":
                wrap_proof.wrap_proof(work, mcplog)
            case "wrap-tools":
                wrap_tools.wrap_tools(work, mcplog)
            case "wrap-view":
                wrap_view.wrap_view(work, mcplog, options.only)
            case "matrix":
                matrix.matrix(work, mcplog, options.rounds, options.only)
    finally:
        if options.keep:
            say(f"kept {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    exit_with(main)
