"""`crishim diff`: what a container gains and loses where one release, or one node, takes the place of another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from shim.cli.outputs import outputs

if TYPE_CHECKING:
    from shim.cli.outputs import Output
    from shim.cli.terminal import Terminal
    from shim.report.model import Report
    from shim.skew.diff.nodes import NodeDifference, Pair
    from shim.skew.diff.releases import Difference, Side

_DIFFERS = 3
_MOST = 8  # calls that a line names of a container; --json has them all
_MARGIN = 19  # columns before the reason of a step


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "-f", "--filename", "names", multiple=True, metavar="FILE", help="Manifests to try on two nodes; - is stdin."
)
@click.option("--handler", default="", metavar="NAME", help="The RuntimeHandler, as the pods' RuntimeClass names it.")
@outputs
def command(before: str, after: str, names: tuple[str, ...], handler: str, output: Output) -> int:
    """Say what changes where B takes the place of A: two releases, or two nodes.

    Releases are written as containerd@2.0.9, cri-o@1.36.3 or kubelet@1.30.2. Told is what RuntimeDefault allows (+),
    denies (-) or denies with another error (~), for every architecture and every set of capabilities that has a say,
    and which rules of deciding changed.

    Nodes are node files. Told are the settings that differ and what becomes of the containers of the manifests; without
    manifests, of four that stand for most: one that says nothing about seccomp, one that asks for RuntimeDefault, one
    for Unconfined, and a privileged one.

    Exit code: 0 where nothing differs, 3 where something does, 2 where the command line or a file is wrong.
    """
    from runtimes.errors import BadInput

    nodes = [_is_file(each) for each in (before, after)]
    if any(nodes) and not all(nodes):
        raise BadInput(f"{before} and {after} are a release and a node file", right="two of the same kind")
    if all(nodes):
        return _nodes(before, after, names, handler, output)
    if names or handler:
        raise BadInput("manifests are tried on nodes, not on releases", right="name two node files")
    return _builds(before, after, output)


def _is_file(word: str) -> bool:
    from runtimes.model import names as families
    from shim.cli.components import KUBELET

    component = word.partition("@")[0]
    return component not in (KUBELET, *families()) and ("@" not in word or os.path.exists(word))  # noqa: PTH110


def _builds(before: str, after: str, output: Output) -> int:
    from shim.cli.components import facts_of, profile_of
    from shim.cli.terminal import Terminal
    from shim.skew.diff.releases import diff
    from shim.skew.diff.report import report

    one, other = _side(before), _side(after)
    found = diff(one, other, facts_of(other.name), profile_of(other.name))
    made = report(found)
    output.deliver(made, lambda: _text(made, found, Terminal()))
    return _DIFFERS if found.blocks or found.facts else 0


def _side(word: str) -> Side:
    from shim.cli.components import KUBELET, model_of, release_of, releases_of
    from shim.nodefile.document import newest_stable
    from shim.skew.diff.releases import Side

    name, _, version = word.partition("@")
    release = release_of(name, version or newest_stable(releases_of(name)))
    return Side(name, release, None if name == KUBELET else model_of(name))


def _text(made: Report, found: Difference, terminal: Terminal) -> str:
    from itertools import groupby

    from shim.skew.diff.report import sentence

    lines = _head(made, terminal)
    for block in found.blocks:
        lines += ["", *terminal.wrapped(f"RuntimeDefault on {block.where}", 0)]
        for line in block.lines:
            lines += _entry(line.text, line.source, terminal)
    for group, facts in groupby(found.facts, lambda fact: fact.group):
        lines += ["", f"rules: {group}"]
        for fact in facts:
            lines += _entry(sentence(fact), f"{fact.name}; {fact.source}", terminal)
    return "\n".join(lines) + "\n"


def _head(made: Report, terminal: Terminal) -> list[str]:
    lines = [terminal.style(made.title, "bold")]
    for text in made.summary:
        lines += terminal.wrapped(text, 0)
    return lines


def _entry(text: str, source: str, terminal: Terminal) -> list[str]:
    from shim.report.status import styles_of

    first, *rest = terminal.wrapped(text[2:], 4)
    lines = [f"  {terminal.style(text[0], 'bold', *styles_of(text))} {first}", *(f"    {line}" for line in rest)]
    if source:
        lines += [f"    {terminal.style(line, 'dim')}" for line in terminal.wrapped(f"[{source}]", 4)]
    return lines


def _nodes(before: str, after: str, names: tuple[str, ...], handler: str, output: Output) -> int:
    from shim.cli.terminal import Terminal
    from shim.kubelet import manifest
    from shim.nodefile import load, read_user_file
    from shim.skew.diff.nodes import diff_nodes, report_of

    documents = load(before), load(after)
    pods = [
        pod for name in names for pod in manifest.pods(read_user_file(name), "standard input" if name == "-" else name)
    ]
    found = diff_nodes(*documents, pods if names else None, handler)
    output.deliver(report_of(found), lambda: _nodes_text(found, Terminal()))
    return _DIFFERS if found.differs else 0


def _nodes_text(found: NodeDifference, terminal: Terminal) -> str:
    from shim.report.status import LOOKS
    from shim.skew.diff.nodes import summary_of, title_of

    lines = [terminal.style(f"{found.before} -> {found.after}", "bold")]
    lines += [line for sentence in summary_of(found) for line in terminal.wrapped(sentence, 0)]
    lines += ["", "settings"] if found.settings else []
    lines += [f"  {line}" for setting in found.settings for line in terminal.wrapped(setting, 2)]
    alike: dict[tuple[str, ...], list[str]] = {}
    for pair in sorted(found.pairs, key=lambda pair: list(LOOKS).index(pair.status)):
        alike.setdefault(tuple(_fate(pair, terminal)), []).append(title_of(pair))
    for fate, heads in alike.items():
        lines += ["", *(terminal.style(head, "bold") for head in terminal.wrapped(", ".join(heads), 0)), *fate]
    return "\n".join(lines) + "\n"


def _fate(pair: Pair, terminal: Terminal) -> list[str]:
    """What becomes of a container, and why. What a profile is made of is not said again: the changes do."""
    from shim.skew.diff.nodes import lines_of

    before, after = pair.before.title, pair.after.title
    if not pair.differs:
        return [f"  {line}" for line in terminal.wrapped(f"as before: {after}", 2)]
    lines = [f"  {line}" for line in terminal.wrapped(f"{before} -> {after}", 2)]
    for text in lines_of(pair, _MOST):
        lines += _entry(text, "", terminal)
    for head, steps in (("before", pair.old_steps), ("now", pair.new_steps)):
        for number, step in enumerate(step for step in steps if step.layer != "profile"):
            first, *rest = terminal.wrapped(step.because, _MARGIN)
            lines.append(f"  {'' if number else head:<8}{terminal.style(f'{step.layer:<9}', 'cyan')}{first}")
            lines += [" " * _MARGIN + line for line in rest]
    return lines
