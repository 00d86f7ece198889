"""A real CRI-O, with the vfs driver, which works on any file system, and runc."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import grpc

from scripts.beside import images
from scripts.beside.daemons import FailedError, Real, RefusedError, Setting, held
from scripts.beside.play import call

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every release passes by what it does not know.
_CONFIG = """[crio]
root = "{folder}/root"
runroot = "{folder}/runroot"
log_dir = "{folder}/logs"
storage_driver = "vfs"
version_file = "{folder}/version"
version_file_persist = "{folder}/version-persist"
clean_shutdown_file = "{folder}/clean.shutdown"
[crio.api]
listen = "{folder}/crio.sock"
stream_port = "0"
[crio.image]
pause_image = "{pause}"
signature_policy = "{folder}/policy.json"
signature_policy_dir = "{folder}/policies"
[crio.network]
network_dir = "{folder}/net.d"
plugin_dirs = ["{folder}/cni"]
[crio.nri]
enable_nri = false
[crio.runtime]
{runtime}
[crio.runtime.runtimes.runc]
{handler}
"""
# A setting takes the place of what is in one of these.
_RUNTIME = {
    "cgroup_manager": "cgroupfs",
    "conmon_cgroup": "pod",
    "apparmor_profile": "unconfined",
    "irqbalance_config_restore_file": "disable",
    "namespaces_dir": "{folder}/ns",
    "container_exits_dir": "{folder}/exits",
    "container_attach_socket_dir": "{folder}/attach",
    "hooks_dir": [],
    "drop_infra_ctr": False,
    "default_runtime": "runc",
}
_HANDLER = {"runtime_path": "{folder}/runc", "runtime_type": "oci", "runtime_root": "{folder}/runc-root"}
# What shapes a spec, all of it otherwise than by default.
_OTHERWISE = {
    "drop_infra_ctr": True,
    "read_only": True,
    "pids_limit": 77,
    "default_capabilities": ["KILL", "NET_RAW", "CHOWN"],
    "add_inheritable_capabilities": True,
    "default_env": ["A=1", "HOSTNAME=h", "B=a b"],
    "default_sysctls": ["net.ipv4.ip_forward=1", "kernel.shm_rmid_forced=1"],
    "default_ulimits": ["nofile=1024:2048", "core=0:-1"],
    "seccomp_use_default_when_empty": True,
    "runtimes.runc": {"allowed_annotations": ["io.kubernetes.cri-o.umask", "io.kubernetes.cri-o.ShmSize"]},
}
# With these, those that know the setting do not start.
_REFUSED: dict[str, Setting] = {
    "file-invalid": {"seccomp_profile": "${PROFILE_DIR}/not-json.json"},
    "rt-unconfined": {"runtimes.runc": {"seccomp_profile": "unconfined"}},
}
# Where the library that pulls images notes which registry has which layer, whatever it is told.
_CACHE = Path("/var/lib/containers/cache")
_REGISTRIES = """unqualified-search-registries = []
[[registry]]
prefix = "localhost"
location = "{registry}"
insecure = true
"""
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
# CRI-O has its OCI runtime create a container at once. Of the spec, runc gets a copy that holds what a container needs
# and what this is about, the section: it would also refuse a user, a mount, a capability or a limit that a machine has
# not. Some machines do not even let root lower a process's oom_score_adj.
_RUNC = """#!{python} -IS
import json, os, sys

words = [word for given in sys.argv[1:] for word in (given.split("=", 1) if given.startswith("--") else [given])]
if "--bundle" in words and "create" in words:
    at = words.index("--bundle") + 1
    with open(os.path.join(words[at], "config.json")) as file:
        spec = json.load(file)
    root, process, linux = spec["root"]["path"], spec["process"], spec["linux"]
    program = "/pause" if os.path.exists(root + "/pause") else "/bin/busybox"
    kept = {{key: process[key] for key in ("terminal", "noNewPrivileges") if key in process}}
    kept |= {{"user": {{"uid": 0, "gid": 0}}, "args": [program], "cwd": "/"}}
    parts = ("cgroupsPath", "namespaces", "seccomp", "uidMappings", "gidMappings")
    copy = {{
        "ociVersion": spec["ociVersion"],
        "process": kept,
        "root": {{"path": root}},
        "mounts": [
            {{"destination": "/proc", "type": "proc", "source": "proc"}},
            {{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}},
            {{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["ptmxmode=0666"]}},
        ],
        "linux": {{key: linux[key] for key in parts if key in linux}},
    }}
    words[at] = os.path.join(words[at], "beside")
    os.makedirs(words[at], exist_ok=True)
    with open(os.path.join(words[at], "config.json"), "w") as file:
        json.dump(copy, file)
    with open("{folder}/made", "a") as file:
        file.write(words[-1] + "\\n")
os.execvp("runc", ["runc", *words])
"""


class Crio(Real):
    """A real CRI-O; conmon, pinns and runc are taken from beside it, or from PATH."""

    family, command, needs = "cri-o", "crio", ("conmon", "pinns", "runc")
    at_random: ClassVar[dict[str, Setting]] = {"at random": {}, "at random, otherwise": _OTHERWISE}
    ignored = (
        ("linux", "devices"),
        ("annotations", "io.kubernetes.cri-o.Created"),
        ("annotations", "io.kubernetes.cri-o.CNIResult"),
    )

    def version(self) -> str:
        """Return what the binary calls itself: "1.36.3"."""
        return self.run(str(self.binary), "--version").split()[2]

    @staticmethod
    def configurations(releases: dict[str, Any]) -> dict[str, tuple[Setting, list[str]]]:
        """Every configuration of every release, and of one that several have, every case; and some that are refused."""
        found: dict[str, tuple[Setting, list[str]]] = {label: (setting, []) for label, setting in _REFUSED.items()}
        for told in releases.values():
            for label, config in told["configs"].items():
                _, cases = found.setdefault(label, (config["setting"], []))
                cases += [name for name in config["cases"] if name not in cases]
        return found

    def lay_out(self, setting: Setting) -> None:
        """Write the configuration file, the network and its plugin."""
        monitor = {name: shutil.which(name, path=self.environment["PATH"]) or name for name in ("conmon", "pinns")}
        own = {key: value for key, value in setting.items() if key != "runtimes.runc"}
        runtime = _toml(_RUNTIME | {"conmon": monitor["conmon"], "pinns_path": monitor["pinns"]} | own)
        handler = _toml(_HANDLER | setting.get("runtimes.runc", {}))
        config = _CONFIG.format(runtime=runtime, handler=handler, folder="{folder}", pause=images.PAUSE)
        runc = _RUNC.format(python=sys.executable, folder=self.folder)
        self.write({"crio.conf": config.replace("{folder}", str(self.folder)), "policy.json": _POLICY, "runc": runc})
        for name in ("crio.conf.d", "registries.conf.d", "policies"):
            (self.folder / name).mkdir(exist_ok=True)

    def node(self, release: str) -> str:
        """Return the runtime of a node file."""
        return f'{{name: cri-o, version: "{release}", config: "{self.folder}/crio.conf"}}'

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Run it."""
        words = [str(self.binary), "--log-format", "json"]
        words += ["--config", f"{self.folder}/crio.conf", "--config-dir", f"{self.folder}/crio.conf.d"]
        words += ["--registries-conf", f"{self.folder}/registries.conf"]
        words += ["--registries-conf-dir", f"{self.folder}/registries.conf.d"]
        had_cache = _CACHE.exists()
        try:
            with images.registry() as address:
                (self.folder / "registries.conf").write_text(_REGISTRIES.format(registry=address))
                with self.running(*words) as process:
                    if not process:
                        raise self._refusal()
                    for name in (images.CONTAINER, images.PAUSE):
                        call(self.socket, "PullImage", service="ImageService", image={"image": name})
                    yield held(process)
        finally:
            if not had_cache:
                shutil.rmtree(_CACHE, ignore_errors=True)
                with contextlib.suppress(OSError):  # somebody else's by now
                    _CACHE.parent.rmdir()

    def answers(self) -> bool:
        """Ask for its version."""
        try:
            call(self.socket, "Version")
        except grpc.RpcError:
            return False
        return True

    def is_left_behind(self, words: list[str]) -> bool:
        """The monitors of containers have their runtime on the command line."""
        return str(self.folder / "runc") in words

    def clean_up(self) -> None:
        """Remove the containers that are left, too."""
        state = self.folder / "runc-root"
        left = {found.name for found in state.iterdir()} if state.exists() else set()
        for each in left & self._made():
            self.run("runc", "--root", str(state), "delete", "--force", each)
        super().clean_up()

    def cgroups(self) -> set[str]:
        """Return those of the containers and of their monitors, and where it puts what names no cgroup."""
        return {"crio", *(f"crio-{kind}{each}" for each in self._made() for kind in ("", "conmon-"))}

    def _made(self) -> set[str]:
        made = self.folder / "made"
        return set(made.read_text().split()) if made.exists() else set()

    def _refusal(self) -> Exception:
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if told.get("level") == "fatal":
                    return RefusedError(told["msg"])
        return FailedError(f"crio did not start: {self.last_words()}")


def _toml(values: Setting) -> str:
    """JSON spells what is set here as TOML does."""
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
