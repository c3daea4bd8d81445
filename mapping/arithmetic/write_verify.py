"""Write-verify of one device: read, compare with the target, pulse towards it, until it is near enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """How a device ended.

    Attributes:
        attempts: pulses that it got.
        failed: the last allowed pulse left it too far off, or a read got no code.
    """

    attempts: int
    failed: bool


def write_verify(
    target: int, tolerance: int, most: int, read: Callable[[], int | None], pulse: Callable[[bool], None]
) -> Written:
    """Read; if |target - code| <= tolerance this is the end; else pulse, up where the code is too low; and over again.

    Args:
        target: code that a read of the device shall give.
        tolerance: largest accepted distance.
        most: pulses, 0 or more; a device that is still too far off after the last has failed.
        read: the device's code; None where none came in time.
        pulse: one pulse, up (True) or down.
    """
    attempts = 0
    while (code := read()) is not None:
        error = target - code
        if abs(error) <= tolerance:
            return Written(attempts, failed=False)
        if attempts == most:
            break
        pulse(error > 0)
        attempts += 1
    return Written(attempts, failed=True)
