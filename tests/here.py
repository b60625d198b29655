"""What this machine is: for tests of what only Linux does, or does so."""

from __future__ import annotations

import sys

import pytest

from pytest_sockreuse.platforms import current

LINUX = sys.platform == "linux" and current().stack == "linux"
linux_only = pytest.mark.skipif(not LINUX, reason="what is expected here is Linux's")
