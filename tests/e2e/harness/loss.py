"""The promise about a killed proxy, and the checker that holds the store to it."""

import time
from collections import Counter

from harness import store
from harness.appender import Appender

# What was still queued in the proxy's memory dies with it: about 10 ms of events, plus what the scheduler adds on a
# busy machine. So the window is at least so long ...
WINDOW_SECONDS = 0.25
# ... and no shorter than the appender takes to go to sleep so often. Two would do, were they all between two looks at the
# channel: the first may end a look that had begun before. On a machine with nothing else to do it sleeps twenty times.
WINDOW_SLEEPS = 8


class Window:
    """The time before a kill of which nothing is promised; what was answered before it began must be there."""

    def __init__(self, pid):
        self.began_at = time.monotonic()
        self.appender = Appender(pid)
        self.sleeps = self.appender.sleeps()

    def is_over(self):
        """Whether the appender had time to take what was answered before."""
        is_long_enough = time.monotonic() - self.began_at >= WINDOW_SECONDS
        return is_long_enough and self.appender.sleeps() - self.sleeps >= WINDOW_SLEEPS


def recorded(directory):
    """How many rows each call has."""
    counted = store.rows(
        directory, "SELECT session_id, rpc_id, count(*) AS rows FROM requests GROUP BY session_id, rpc_id"
    )
    return Counter({f"{row['session_id']}/{row['rpc_id']}": row["rows"] for row in counted})


def check_calls(rounds, directory):
    """Every call answered before the window has one row; no call has two; no row is of an unknown call."""
    counts = recorded(directory)
    sent = {call.name for one in rounds for call in one.calls}
    wrong = [
        f"lost: {call.name}, answered {(one.killed_at - call.answered_at) * 1000:.0f} ms before the kill"
        for one in rounds
        for call in one.promised()
        if counts[call.name] == 0
    ]
    wrong += [f"doubled: {name} has {count} rows" for name, count in counts.items() if count > 1]
    wrong += [f"unknown: a row of {name}, which nobody sent" for name in counts.keys() - sent]
    return wrong


def measured_loss(rounds, directory):
    """How many answered calls were lost, and the age in seconds of the oldest of them at its kill."""
    counts = recorded(directory)
    # What was still in the socket's buffer at the kill is read after it.
    ages = [
        max(0.0, one.killed_at - call.answered_at)
        for one in rounds
        for call in one.calls
        if call.answered_at and counts[call.name] == 0
    ]
    return len(ages), max(ages, default=0.0)
