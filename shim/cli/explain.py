"""`crishim explain`: what the containers of a pod would get on a node, and why, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runtimes.decision import Step
    from shim.answer import Answer, PodAnswer
    from shim.cli.terminal import Terminal
    from shim.kubelet.api import Source
    from shim.kubelet.pod import Pod
    from shim.node import Entry, Node

_MARGIN = 14  # columns before a text: its heading stands there
_LAYER_WIDTH = 11  # of the layer's name in a step: "kubelet", "runtime", "profile"


@click.command("explain")
@click.option("-f", "--filename", "names", multiple=True, required=True, metavar="FILE", help="Manifests; - is stdin.")
@click.option("--node", "node_file", metavar="FILE", help="The node file.  [default: this host, newest releases]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the node.")
@click.option("--handler", default="", metavar="NAME", help="The RuntimeHandler, as the pods' RuntimeClass names it.")
@click.option(
    "--source",
    type=click.Choice(["api", "static"]),
    default="api",
    show_default=True,
    help="Where the kubelet has the pods from: the API server, or files on the node.",
)
@click.option("--container", "wanted", multiple=True, metavar="NAME", help="Only containers of this name.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    names: tuple[str, ...],
    node_file: str | None,
    settings: tuple[str, ...],
    handler: str,
    source: Source,
    wanted: tuple[str, ...],
    output: str,
) -> int:
    """Say which seccomp section the containers of a pod would get, and why.

    The pods of the manifests are taken through the node's kubelet and runtime as a server would take them. Nothing is
    run, and nobody is asked but the registry of an OCI artifact that a pod names as its profile (CRI-O from 1.30).

    Exit code: 0 where every container would be created, 1 where one would be refused, 2 where a file is wrong; so is a
    manifest that the API would not accept, and each rule that it breaks is told with its line on stderr.
    """
    from runtimes.errors import BadInput
    from shim.cli.pairs import pairs
    from shim.nodefile import apply_settings, default_document, load, open_node

    document = load(node_file) if node_file else default_document()
    if settings:
        document = apply_settings(document, pairs(settings))
    node = open_node(document)
    entry = node.entry(handler)
    wrong: list[str] = []
    answers = [answer for name in names for answer in _answers(node, entry, name, source, wrong)]
    if wanted:
        answers = _only(answers, set(wanted))
        if not any(answer.containers for answer in answers):
            raise BadInput(f"no pod has a container {' or '.join(wanted)}", where="--container")
    if output == "json":
        click.echo(_json(answers))
    else:
        click.echo(_text(node, entry, answers))
    for sentence in wrong:
        click.echo(sentence, err=True)
    refused = any(each.error for answer in answers for each in (answer.sandbox, *answer.containers))
    return 2 if wrong else 1 if refused else 0


def _answers(node: Node, entry: Entry, name: str, source: Source, wrong: list[str]) -> list[PodAnswer]:
    """Answer for every pod of a file. What the API says to those that it does not accept goes into `wrong`."""
    from shim.answer import answer_pod
    from shim.kubelet import manifest
    from shim.nodefile import read_user_file

    text, where = read_user_file(name), "standard input" if name == "-" else name
    answers = []
    for pod in manifest.pods(text, where):
        answer = answer_pod(node, entry, pod, source)
        answers.append(answer)
        if answer.sandbox.error is not None and answer.sandbox.error.reason == "Invalid":
            wrong += _broken_rules(answer, text, where, pod)
    return answers


def _broken_rules(answer: PodAnswer, text: bytes, where: str, pod: Pod) -> list[str]:
    from runtimes.errors import BadInput
    from shim.kubelet import manifest

    sentences = []
    for step in answer.sandbox.steps:
        if step.rule == "pod-validated":
            field, _, what = step.because.partition(": ")
            line = manifest.line(text, where, pod.origin, field)
            sentences.append(str(BadInput(what, where=where, line=line, field=field)))
    return sentences


def _only(answers: list[PodAnswer], wanted: set[str]) -> list[PodAnswer]:
    from msgspec.structs import replace

    return [
        replace(answer, containers=tuple(each for each in answer.containers if each.name in wanted))
        for answer in answers
    ]


def _json(answers: list[PodAnswer]) -> str:
    import json

    import msgspec

    return json.dumps({"pods": msgspec.to_builtins(answers)}, indent=2)


def _text(node: Node, entry: Entry, answers: list[PodAnswer]) -> str:
    from shim.cli.terminal import Terminal

    terminal = Terminal()
    lines: list[str] = []
    for answer in answers:
        lines += [
            terminal.style(f"pod {answer.pod}", "bold") + f" on {_node(node, entry)}",
            *_block("sandbox", answer.sandbox, terminal),
            *(line for each in answer.containers for line in _block(f"{each.kind} {each.name}", each, terminal)),
            "",
        ]
    return "\n".join(lines[:-1])


def _node(node: Node, entry: Entry) -> str:
    from shim.nodefile import fill

    filled = fill(node.document)
    part = filled.handlers.get(entry.name, filled.runtime)
    kubelet, policy = f"kubelet {node.kubelet.release}", node.kubelet.settings.policy
    if policy is not None:
        kubelet += f" with policy {policy.name} (which never shipped)"
    return f"{kubelet}, {part.name} {entry.runtime.release}, {node.host.arch}"


def _block(title: str, answer: Answer, terminal: Terminal) -> list[str]:
    """One sandbox or container: what is asked for, what comes out, and the steps between."""
    rows = [("asks for", _asked(answer)), ("gets", _got(answer, terminal))]
    lines = ["", "  " + terminal.style(title, "bold")]
    for name, text in rows:
        first, *rest = terminal.wrapped(text, _MARGIN)
        lines += [f"    {name:<10}{first}", *(" " * _MARGIN + line for line in rest)]
    for number, step in enumerate(answer.steps):
        lines += _step("because" if number == 0 else "", step, terminal)
    return lines


def _asked(answer: Answer) -> str:
    seccomp, path = answer.cri.seccomp, answer.cri.seccomp_profile_path
    said = []
    if seccomp is not None:
        said.append(f"{seccomp.profile_type} {seccomp.localhost_ref}".rstrip())
    if path:
        said.append(f"seccomp_profile_path {path}")
    return ", ".join(said) or "nothing"


def _got(answer: Answer, terminal: Terminal) -> str:
    from shim.answer import digest

    if answer.error is not None:
        error = answer.error
        head = terminal.style("refused", "red", "bold") + f" by the {error.where}"
        named = " ".join(part for part in (error.reason, f"({error.code})" if error.code else "") if part)
        return f"{head}: {named}: {error.message}" if named else f"{head}: {error.message}"
    if answer.seccomp is None:
        return terminal.style("no filter: unconfined", "yellow")
    return terminal.style("a filter", "green") + f": {_summary(answer.seccomp)}, sha256 {digest(answer.seccomp)[:12]}"


def _summary(section: dict[str, Any]) -> str:
    """Describe a section in a line: its default action, and how much it names."""
    from shim.report.words import counted

    rules = section.get("syscalls") or []
    names = {name for rule in rules for name in rule.get("names") or ()}
    errno = section.get("defaultErrnoRet")
    default = f"{section.get('defaultAction')}" + (f" (errno {errno})" if errno is not None else "")
    return f"by default {default}, {counted(len(names), 'syscall')} in {counted(len(rules), 'rule')}"


def _step(head: str, step: Step, terminal: Terminal) -> list[str]:
    margin = _MARGIN + _LAYER_WIDTH
    mark = terminal.style("! ", "yellow") if step.warns else ""
    source = f" [{step.source}]" if step.source else ""
    first, *rest = terminal.wrapped(step.because + source, margin + 2 * step.warns, dim_from=len(step.because))
    layer = terminal.style(f"{step.layer:<{_LAYER_WIDTH}}", "cyan")
    return [f"    {head:<10}{layer}{mark}{first}", *(" " * margin + line for line in rest)]
