"""The one public error: where it happened, what is the fact, what to do about it."""

from __future__ import annotations


class McugenError(Exception):
    """A refused model or a broken input; printed as one message, exit code 2.

    Args:
        node: the layer, file, tool or port concerned.
        fact: what was found, in one sentence without a full stop.
        remedy: what the user can do about it, in the imperative.
    """

    exit_code = 2

    def __init__(self, node: str, fact: str, remedy: str) -> None:
        super().__init__(f"{node}: {fact}; {remedy}")
        self.node, self.fact, self.remedy = node, fact, remedy


class CheckFailed(McugenError):
    """A check did not pass (mismatch, over budget); exit code 1."""

    exit_code = 1
