"""How a test waits: for a condition, with a deadline. The only file of the tests that sleeps.

`let_pass` is for time as the stimulus: an expiry, a client that drips, the random moment of a kill.
It is never a guess at how long something takes.
"""

import time

POLL_SECONDS = 0.02  # two scrapes a poll are what /metrics lets one address have, 100 a second


class NotInTime(AssertionError):
    """A condition did not come true before its deadline."""


def let_pass(seconds):
    """For expiries and delays, where time itself is what the test needs."""
    time.sleep(seconds)


def wait_until(condition, what, timeout=10.0):
    """The first true value of `condition`. `what` is told when it comes too late: a text, or a
    function that makes one then."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise NotInTime(f"not in time: {what() if callable(what) else what}")
        let_pass(POLL_SECONDS)
    return found


def wait_until_still(reading, what, still, timeout):
    """Until `reading` has given the same value for `still` seconds."""
    last, since = reading(), time.monotonic()

    def unchanged():
        nonlocal last, since
        now = reading()
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since >= still
    wait_until(unchanged, what, timeout)
