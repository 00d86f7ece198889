"""A real containerd, with the native snapshotter, which works on any file system."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

from scripts.beside import images
from scripts.beside.daemons import FailedError, Real, Setting, held

if TYPE_CHECKING:
    from collections.abc import Iterator

# Version 2 is read by every release that serves the CRI v1.
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


class Containerd(Real):
    """A real containerd; ctr, the shim and runc are taken from beside it, or from PATH."""

    family = command = "containerd"
    needs = ("ctr", "containerd-shim-runc-v2", "runc")
    ignored = (("linux", "devices"),)

    def version(self) -> str:
        """Return what the binary calls itself: "1.6.20~ds1"."""
        return self.run(str(self.binary), "--version").split()[2].removeprefix("v")

    @staticmethod
    def configurations(releases: dict[str, Any]) -> dict[str, tuple[Setting, list[str]]]:
        """Every release was recorded with the same configurations; the last one has a few cases more in some."""
        recorded = list(releases.values())[-1]["configs"]
        return {label: ({"unset": config["unset"]}, list(config["cases"])) for label, config in recorded.items()}

    def lay_out(self, setting: Setting) -> None:
        """Write the configuration file, the network and its plugin."""
        unset = setting.get("unset", "")
        config = _CONFIG.format(folder=self.folder, pause=images.PAUSE, unset=unset)
        self.write({"config.toml": config, "runc": _RUNC})

    def node(self, release: str) -> str:
        """Return the runtime of a node file."""
        return f'{{name: containerd, version: "{release}", config: "{self.folder}/config.toml"}}'

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Run it."""
        with self.running(str(self.binary), "--config", str(self.folder / "config.toml")) as process:
            if not process:
                raise FailedError(f"containerd did not start: {self.last_words()}")
            for number, name in enumerate((images.CONTAINER, images.PAUSE)):
                archive = self.folder / f"image-{number}.tar"
                images.write(name, archive)
                words = ("--snapshotter", "native", str(archive))
                try:
                    self._ctr("images", "import", "--local", *words)  # newer ones have the daemon do it otherwise
                except FailedError:
                    self._ctr("images", "import", *words)
            yield held(process)

    def answers(self) -> bool:
        """Ask for its version."""
        try:
            self._ctr("version")
        except FailedError:
            return False
        return True

    def is_left_behind(self, words: list[str]) -> bool:
        """The shims have the daemon's socket on their command line."""
        return str(self.socket) in words

    def _ctr(self, *words: str) -> None:
        ctr = shutil.which("ctr", path=self.environment["PATH"]) or "ctr"
        self.run(ctr, "--address", str(self.socket), "--namespace", "k8s.io", *words)
