"""`crishim profile`: the profile that is built into a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runtimes.decision import Decision, Step
    from runtimes.host import Host
    from runtimes.oci import Seccomp, Syscall
    from shim.cli.terminal import Terminal

_MARGIN = 18  # columns before a text: its heading stands there


@click.command("profile")
@click.argument("build", metavar="RUNTIME[@RELEASE]")
@click.option("--add-cap", "add", multiple=True, metavar="CAP", help="A capability that the container adds, or ALL.")
@click.option("--drop-cap", "drop", multiple=True, metavar="CAP", help="A capability that it drops, or ALL.")
@click.option("--arch", metavar="GOARCH", help="The architecture of the node.  [default: this host's]")
@click.option("--kernel", metavar="RELEASE", help="The kernel of the node.  [default: this host's]")
@click.option("--log", is_flag=True, help="The audit variant: what would be denied is allowed and logged.")
@click.option("-o", "--output", type=click.Choice(["json", "text"]), default="json", show_default=True)
def command(
    build: str,
    add: tuple[str, ...],
    drop: tuple[str, ...],
    arch: str | None,
    kernel: str | None,
    log: bool,
    output: str,
) -> None:
    """Print the seccomp section that RuntimeDefault means in a release: containerd@2.2.4, or cri-o for the newest.

    The section follows from the container's capabilities, the architecture and the kernel. It is printed as a Localhost
    profile: with --log, the file to try out before a workload is confined. There, what the profile would deny shows up
    in the audit log of the node, by the number of the call.
    """
    from runtimes.errors import BadInput
    from runtimes.oci import Seccomp, logged
    from shim.builtin import builtin_profile
    from shim.cli.components import KUBELET, model_of, release_of

    name, _, version = build.partition("@")
    if name == KUBELET:
        raise BadInput("a kubelet has no profile of its own", right="one of a runtime, such as containerd@2.2.4")
    model = model_of(name)
    release = release_of(name, version) if version else model.releases()[-1].release
    host = _host(arch, kernel)
    decision = builtin_profile(model, release, host, add=add, drop=drop)
    section = Seccomp.from_json(decision.section)
    section = logged(section) if log else section
    if output == "json":
        import json

        click.echo(json.dumps(section.to_json(), indent=2))
    else:
        click.echo(_text(f"{name} {release}", host, section, decision))


def _host(arch: str | None, kernel: str | None) -> Host:
    """Return this host, but for what is said. Raises `BadInput` where that is no architecture or kernel."""
    from shim.nodefile import apply_settings, default_document, fill
    from shim.nodefile.document import host_of

    said = {key: value for key, value in (("host.arch", arch), ("host.kernel", kernel)) if value is not None}
    return host_of(fill(apply_settings(default_document(), said) if said else default_document()))


def _text(build: str, host: Host, section: Seccomp, decision: Decision) -> str:
    from shim.cli.terminal import Terminal

    terminal = Terminal()
    capabilities = decision.spec["process"]["capabilities"].get("bounding") or ()
    lines = [
        terminal.style(build, "bold") + f" on {host.arch}, kernel {host.kernel}",
        "",
        *_row("capabilities", " ".join(name.removeprefix("CAP_") for name in capabilities) or "none", terminal),
        *_row("architectures", ", ".join(section.architectures) or "the native one", terminal),
        *_row("by default", _action(section.default_action, section.default_errno_ret), terminal),
        "",
        *(line for rule in section.syscalls for line in _rule(rule, terminal)),
        "",
        *(line for step in decision.steps if step.layer == "profile" for line in _why(step, terminal)),
    ]
    return "\n".join(lines)


def _rule(rule: Syscall, terminal: Terminal) -> list[str]:
    from shim.changes import condition

    text = ", ".join(rule.names or ()) + condition(rule.args)
    return _row(_action(rule.action, rule.errno_ret), text, terminal)


def _action(action: str, errno: int | None) -> str:
    return action + (f" {errno}" if errno is not None else "")


def _row(head: str, text: str, terminal: Terminal) -> list[str]:
    first, *rest = terminal.wrapped(text, _MARGIN)
    return [f"{head:<{_MARGIN - 1}} {first}", *(" " * _MARGIN + line for line in rest)]


def _why(step: Step, terminal: Terminal) -> list[str]:
    source = f" [{step.source}]" if step.source else ""
    first, *rest = terminal.wrapped(step.because + source, 2, dim_from=len(step.because))
    return [f"- {first}", *(f"  {line}" for line in rest)]
