"""The hosting service: the one place that calls it, by its own command line program, `gh`."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any


class HostingError(RuntimeError):
    """The service refused; the message is its own."""


class Hosting:
    """The repository that a job runs for. `gh` takes its token from GH_TOKEN."""

    def __init__(self, repository: str | None = None) -> None:
        self.repository = repository or os.environ["GITHUB_REPOSITORY"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the service answers to a request; `path` is below the repository. Raises HostingError."""
        command = ["gh", "api", "--method", method, f"repos/{self.repository}/{path}"]
        data = json.dumps(body) if body is not None else None
        done = subprocess.run(
            [*command, *(["--input", "-"] if data else [])], input=data, capture_output=True, text=True
        )
        if done.returncode:
            raise HostingError(f"{method} {path}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def all(self, path: str) -> list[Any]:
        """All entries of a list, page by page."""
        found: list[Any] = []
        for page in range(1, 101):
            entries = self.call("GET", f"{path}{'&' if '?' in path else '?'}per_page=100&page={page}")
            found += entries
            if len(entries) < 100:
                return found
        raise HostingError(f"GET {path}: more than 100 pages")
