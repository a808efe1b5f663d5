"""The tests of the operators again, on the emulated card."""

from tests.operators.test_edges import *  # noqa: F403
from tests.operators.test_layouts import *  # noqa: F403
