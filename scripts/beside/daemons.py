"""A real containerd and crishim as that release: one configuration file, one folder, two sockets.

The real one has its own root, state and socket, and its own network plugin: a script that says there is an address.
Nothing of the machine's own containerd, if there is one, is touched. What a daemon leaves behind is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.beside import images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 60  # seconds for a daemon to come up

# Version 2 is read by every release that serves the CRI v1. The native snapshotter works on any file system.
_CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
unset_seccomp_profile = "{unset}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{folder}/runc"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{folder}/cni"
conf_dir = "{folder}/net.d"
"""
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
# Some machines do not let even root lower a process's oom_score_adj, which every pause container asks for. What
# containerd reports is what it asked for; only the copy of the spec that runc reads is changed, and only where it must.
_RUNC = """#!/bin/sh
bundle= option=
for word; do
    [ "$option" != --bundle ] || bundle=$word
    option=$word
done
if [ -n "$bundle" ] && ! (echo -998 >/proc/self/oom_score_adj) 2>/dev/null; then
    sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
fi
exec runc "$@"
"""
_NODE = """host: {{capabilities: [{capabilities}]}}
kubelet: {{step: none}}
runtime: {{name: containerd, version: "{release}", config: "{folder}/config.toml"}}
"""


class FailedError(Exception):
    """A daemon did not come up, or a command failed; the text says what it said last."""


class Real:
    """A real containerd, by the path of its binary; ctr, the shim and runc are taken from beside it, or from PATH."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        self.socket = folder / "containerd.sock"
        path = f"{binary.parent}:{binary.parent.parent / 'sbin'}:{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path}

    def version(self) -> str:
        """Return what the binary calls itself: "1.6.20~ds1"."""
        return self._run(str(self.binary), "--version").split()[2].removeprefix("v")

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise FailedError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def lay_out(self, unset: str) -> None:
        """Write the configuration file, the network and its plugin."""
        config = _CONFIG.format(folder=self.folder, pause=images.PAUSE, unset=unset)
        (self.folder / "config.toml").write_text(config)
        for name in ("cni", "net.d"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "net.d" / "10-none.conflist").write_text(_NETWORK)
        for name, text in (("cni/nothing", _PLUGIN), ("cni/loopback", _PLUGIN), ("runc", _RUNC)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Run it, with both images; give the capabilities that it holds, as a hexadecimal mask."""
        log = self.folder / "containerd.log"
        command = [str(self.binary), "--config", str(self.folder / "config.toml")]
        with log.open("w") as file:
            process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=file, stderr=file)
        try:
            _wait(lambda: self._answers() or process.poll() is not None, log)
            if process.poll() is not None:
                raise FailedError(f"containerd did not start: {log.read_text()[-2000:]}")
            for number, name in enumerate((images.CONTAINER, images.PAUSE)):
                archive = self.folder / f"image-{number}.tar"
                images.write(name, archive)
                words = ("--snapshotter", "native", str(archive))
                try:
                    self._ctr("images", "import", "--local", *words)  # newer ones have the daemon do it otherwise
                except FailedError:
                    self._ctr("images", "import", *words)
            status = Path(f"/proc/{process.pid}/status").read_text()
            yield next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            self._clean_up()

    def _answers(self) -> bool:
        try:
            self._ctr("version")
        except FailedError:
            return False
        return True

    def _ctr(self, *words: str) -> None:
        ctr = shutil.which("ctr", path=self._environment["PATH"]) or "ctr"
        self._run(ctr, "--address", str(self.socket), "--namespace", "k8s.io", *words)

    def _clean_up(self) -> None:
        """End the shims that are left, which have our socket on their command line, and unmount what is left."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(self.socket).encode() in process.read_bytes().split(b"\0"):
                    os.kill(int(process.parent.name), signal.SIGKILL)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for point in reversed([point for point in mounted if point.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "--lazy", point], check=False)


@contextlib.contextmanager
def crishim(release: str, folder: Path, capabilities: list[str]) -> Iterator[Path]:
    """Serve as that release with the same configuration file; give the socket."""
    socket, node = folder / "crishim.sock", folder / "node.yaml"
    node.write_text(_NODE.format(capabilities=", ".join(capabilities), release=release, folder=folder))
    words = ["serve", "--node", str(node), "--listen", f"unix://{socket}", "--state", ":memory:"]
    command = [sys.executable, "-m", "shim.cli.main", *words, "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise FailedError("crishim did not start")
            yield socket
        finally:
            process.terminate()
            process.wait(10)


def _wait(done: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > end:
            raise FailedError(f"containerd is not up after {_PATIENCE} s: {log.read_text()[-2000:]}")
        time.sleep(0.1)
