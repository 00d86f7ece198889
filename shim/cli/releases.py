"""`crishim releases`: the releases of a component that are known by name."""

from __future__ import annotations

import click


@click.command("releases")
@click.argument("component", metavar="COMPONENT")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(component: str, output: str) -> None:
    """List the known releases of a component: kubelet, containerd, cri-o, or another installed runtime.

    Oldest first, with the day on which each was made, and the last day on which its line is cared for where that is
    known.
    """
    from shim.cli.components import releases_of

    known = releases_of(component)
    if output == "json":
        import json

        rows = [{"release": each.release.upstream, "date": each.date, "lineEnd": each.line_end} for each in known]
        click.echo(json.dumps(rows, indent=2))
        return
    width = max((len(each.release.upstream) for each in known), default=0)
    for each in known:
        end = f"  line until {each.line_end}" if each.line_end else ""
        click.echo(f"{each.release.upstream:<{width}}  {each.date or '-':<10}{end}".rstrip())
