"""The testbed as a whole: made, proved, asked and removed."""

from rtlab.testbed.proving import GUEST_TRIES
from rtlab.testbed.provision import PROVISION_TIMEOUT_S, Up, up
from rtlab.testbed.removal import Down, candidates, status, teardown
from rtlab.testbed.stamp import STAMP

__all__ = [
    "GUEST_TRIES",
    "PROVISION_TIMEOUT_S",
    "STAMP",
    "Down",
    "Up",
    "candidates",
    "status",
    "teardown",
    "up",
]
