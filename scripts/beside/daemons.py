"""A real daemon and crishim as its release: one configuration file, one folder, two sockets.

What every family of daemons has in common; its own room (containerd.py, crio.py) says how one is configured, started
and given its images. A daemon has its own root, state and socket, and its own network plugin: a script that says there
is an address. Nothing of the machine's own daemons, if there are any, is touched. What one leaves behind is removed.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 60  # seconds for a daemon to come up
_CGROUPS = Path("/sys/fs/cgroup")
_PARENTS = ("/crishim-beside/x", "/crishim-beside")  # those that cases made at random ask for
_NETWORK = '{"cniVersion": "0.4.0", "name": "none", "plugins": [{"type": "nothing"}]}'
_PLUGIN = """#!/bin/sh
case $CNI_COMMAND in
ADD)
    interface='{"name": "eth0", "sandbox": "'$CNI_NETNS'"}'
    address='{"version": "4", "address": "10.88.77.12/16", "interface": 0}'
    echo '{"cniVersion": "0.4.0", "interfaces": ['$interface'], "ips": ['$address']}' ;;
VERSION)
    echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}' ;;
esac
"""
# Said by `crishim serve` where the release does not start.
_REFUSES = "the runtime refuses: "

Setting = dict[str, Any]
"""What a recorded configuration adds to the one that a family plays in."""


class FailedError(Exception):
    """A daemon did not come up, or a command failed; the text says what it said last."""


class RefusedError(Exception):
    """A daemon does not start with a configuration; the text is the reason it gives."""


class Real(abc.ABC):
    """A real daemon, by the path of its binary; what it needs besides is taken from beside it, or from PATH."""

    family: ClassVar[str]
    command: ClassVar[str]
    """The name of the binary, and of the folder with the family's tests."""
    needs: ClassVar[tuple[str, ...]]
    """What it cannot do without, beside it or in PATH."""
    ignored: ClassVar[tuple[tuple[str, ...], ...]]
    """The places in a spec that are not compared."""
    at_random: ClassVar[dict[str, Setting]] = {"at random": {}}
    """The configurations in which cases made at random are played."""

    def __init__(self, binary: Path, folder: Path) -> None:
        """Raises `FailedError` where something that it needs is not there."""
        self.binary, self.folder = binary, folder
        self.socket = folder / f"{self.command}.sock"
        self.log = folder / f"{self.command}.log"
        path = f"{binary.parent}:{binary.parent.parent / 'sbin'}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path}
        missing = [name for name in self.needs if not shutil.which(name, path=path)]
        if missing:
            raise FailedError(f"there is no {' and no '.join(missing)}, neither beside {binary} nor in PATH")

    @abc.abstractmethod
    def version(self) -> str:
        """Return what the binary calls itself: "1.6.20~ds1"."""

    @staticmethod
    @abc.abstractmethod
    def configurations(releases: dict[str, Any]) -> dict[str, tuple[Setting, list[str]]]:
        """Return {label: (setting, names of its cases)} of what was recorded of some releases."""

    @abc.abstractmethod
    def lay_out(self, setting: Setting) -> None:
        """Write the files of a configuration."""

    @abc.abstractmethod
    def node(self, release: str) -> str:
        """Return the runtime of a node file, that of the same release with the same configuration."""

    @abc.abstractmethod
    def serving(self) -> contextlib.AbstractContextManager[str]:
        """Run it, with both images; give the capabilities that it holds, as a hexadecimal mask.

        Raises `RefusedError` where it does not start with its configuration.
        """

    @abc.abstractmethod
    def answers(self) -> bool:
        """Whether it is up."""

    @abc.abstractmethod
    def is_left_behind(self, words: list[str]) -> bool:
        """Whether a process with this command line is one that the daemon leaves behind."""

    # --- what every family has

    def filled(self, setting: Setting) -> Setting:
        """Return a setting with the folder of the profiles filled in."""
        filled: Setting = json.loads(json.dumps(setting).replace("${PROFILE_DIR}", str(self.folder / "profiles")))
        return filled

    def run(self, *command: str) -> str:
        """Return what a command says. Raises `FailedError`."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise FailedError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def write(self, files: dict[str, str]) -> None:
        """Write files into the folder, the network's among them; what begins as a script does is one."""
        network = {"net.d/10-none.conflist": _NETWORK, "cni/nothing": _PLUGIN, "cni/loopback": _PLUGIN}
        for name, text in (files | network).items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            if text.startswith("#!"):
                file.chmod(0o755)

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[int]:
        """Run the daemon until the end of the block; give its process id, or 0 where it has ended before it was up."""
        with self.log.open("w") as file:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=file, stderr=file)
        try:
            end = time.monotonic() + _PATIENCE
            while not self.answers() and process.poll() is None:
                if time.monotonic() > end:
                    raise FailedError(f"{self.command} is not up after {_PATIENCE} s: {self.last_words()}")
                time.sleep(0.1)
            yield process.pid if process.poll() is None else 0
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
            self.clean_up()

    def last_words(self) -> str:
        """Return the end of what the daemon logged."""
        return self.log.read_text()[-2000:]

    def clean_up(self) -> None:
        """End the processes that are left, unmount what is left, and remove the cgroups of the pods."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if self.is_left_behind(os.fsdecode(process.read_bytes()).split("\0")):
                    os.kill(int(process.parent.name), signal.SIGKILL)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for point in reversed([point for point in mounted if point.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "--lazy", point], check=False)
        names = self.cgroups()
        for cgroup, _, _ in os.walk(_CGROUPS, topdown=False):
            if cgroup.endswith(_PARENTS) or Path(cgroup).name in names:
                with contextlib.suppress(OSError):  # in use, if not by us
                    Path(cgroup).rmdir()

    def cgroups(self) -> set[str]:
        """Return the names of cgroups that the daemon leaves behind, besides those that cases ask for."""
        return set()


def held(process: int) -> str:
    """Return the capabilities that a process holds, as a hexadecimal mask."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))


@contextlib.contextmanager
def crishim(real: Real, release: str, capabilities: list[str]) -> Iterator[Path]:
    """Serve as that release with the same configuration; give the socket. Raises `RefusedError` as `serving` does."""
    socket, node = real.folder / "crishim.sock", real.folder / "node.yaml"
    host = f"host: {{capabilities: [{', '.join(capabilities)}]}}\n"
    node.write_text(f"{host}kubelet: {{step: none}}\nruntime: {real.node(release)}\n")
    words = ["serve", "--node", str(node), "--listen", f"unix://{socket}", "--state", ":memory:"]
    command = [sys.executable, "-m", "shim.cli.main", *words, "--log-level", "error"]
    with (real.folder / "crishim.log").open("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            try:
                assert process.stdout is not None
                up = bool(process.stdout.readline())
                if up:
                    yield socket
            finally:
                process.terminate()
                process.wait(10)
        errors.seek(0)
        said = errors.read().strip()
        if up:
            sys.stderr.write(said)
            return
        _, refuses, why = said.partition(_REFUSES)
        raise RefusedError(why) if refuses else FailedError(f"crishim did not start: {said[-2000:]}")
