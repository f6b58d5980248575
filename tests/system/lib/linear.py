"""Is a history of writes and reads of one register linearizable? (Wing and Gong, with memory.)"""


class Operation:
    """A write of `value`, or a read that returned it. `end` is None when no answer came."""

    def __init__(self, kind, value, start, end):
        self.kind, self.value, self.start, self.end = kind, value, start, end

    def __repr__(self):
        return f"{self.kind} {self.value} [{self.start:.4f}, {self.end or float('inf'):.4f}]"


def linearizable(operations, initial):
    """True when some order fits the real-time order and every read sees the last write."""
    ops = sorted(operations, key=lambda op: op.start)
    needed = sum(1 << n for n, op in enumerate(ops) if op.end is not None)
    seen, stack = set(), [(0, initial)]
    while stack:
        done, value = stack.pop()
        if done & needed == needed:
            return True
        if (done, value) in seen:
            continue
        seen.add((done, value))
        left = [n for n in range(len(ops)) if not done >> n & 1]
        horizon = min((ops[n].end for n in left if ops[n].end is not None), default=float("inf"))
        for n in left:
            if ops[n].start > horizon:
                break
            if ops[n].kind == "write":
                stack.append((done | 1 << n, ops[n].value))
            elif ops[n].value == value:
                stack.append((done | 1 << n, value))
    return False
