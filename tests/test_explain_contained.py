"""`sockreuse explain` in containers of sorts: another PID namespace, a user namespace's root, no namespaces at all."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from here import LINUX

Ask = Callable[..., str]

pytestmark = [
    pytest.mark.skipif(not LINUX or not shutil.which("unshare"), reason="needs Linux and util-linux's unshare"),
    pytest.mark.usefixtures("namespaces"),
]


@pytest.fixture
def port() -> Iterator[int]:
    """One that this process listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def asked(flags: str, address: object, before: str = "") -> str:
    """What ``sockreuse explain`` says after ``unshare FLAGS``, on this host's network; runs of blanks are one."""
    explain = [sys.executable, "-m", "pytest_sockreuse.cli", "explain", str(address)]
    words = ["unshare", *flags.split(), "sh", "-c", f'{before} exec "$@"', "sh", *explain]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if done.stderr.startswith("unshare:"):
        pytest.skip(done.stderr)
    assert (done.stderr, done.returncode) == ("", 1)
    return " ".join(done.stdout.split())


@pytest.mark.usefixtures("root_namespaces")
def test_a_process_outside_of_a_container_is_told_as_that(port: int) -> None:
    said = asked("--pid --fork --kill-child --mount-proc", f"127.0.0.1:{port}")
    assert "a process of user root outside of this container, in another or on the host" in said
    assert f"fix ask who has it, as root, outside of this container: sudo sockreuse explain {port}" in said


def test_a_process_that_a_rootless_container_may_not_look_into_is_told_as_that(port: int) -> None:
    said = asked("--user --map-root-user", f"127.0.0.1:{port}")
    assert "a process of user root that cannot be seen" in said
    assert f"fix ask who has it as root: sudo sockreuse explain {port}" in said


def test_without_proc_it_is_said_that_processes_are_not_seen(port: int) -> None:
    said = asked("--user --map-root-user --mount", f"127.0.0.1:{port}", "mount -t tmpfs none /proc;")
    assert "a process of user root that cannot be seen" in said
    assert "unseen the processes of 1 of these sockets: there is no /proc to look into" in said


def test_root_of_a_user_namespace_has_no_rights_over_a_network_further_out() -> None:
    said = asked("--user --map-root-user", "127.0.0.1:7")
    assert "bind EACCES" in said
    assert "clause A port below ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE" in said
    assert "its root has no rights over this one" in said and "setcap" not in said


def test_root_of_a_user_namespace_rules_a_network_of_its_own() -> None:
    """Nothing says that a port is too low."""
    explain = [sys.executable, "-m", "pytest_sockreuse.cli", "explain", "0.0.0.0:7"]
    words = ["unshare", "--user", "--map-root-user", "--net", *explain]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "bind ok" in done.stdout) == (0, True), done


NONE = "".join(f"echo 0 > /proc/sys/user/max_{kind}_namespaces;" for kind in ("user", "net"))


def test_where_namespaces_are_forbidden_it_is_explained_all_the_same(port: int) -> None:
    said = asked("--user --map-root-user", f"127.0.0.1:{port}", NONE)
    assert "bind EADDRINUSE (by the model of" in said and "held by LISTEN at" in said
