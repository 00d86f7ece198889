"""`crishim`: a table of verbs. A verb is imported when it is called, and the table alone answers `--help`.

Exit codes: 0 done, 1 refused or not possible, 2 a wrong command line or file, 130 interrupted.
"""

from __future__ import annotations

import sys

VERSION = "0.1.0"

VERBS = {
    "explain": ("shim.cli.explain", "say which seccomp section the containers of a pod would get, and why"),
    "diff": ("shim.cli.diff", "say what a container gains and loses between two releases or nodes"),
    "matrix": ("shim.cli.matrix", "say what pods would get under many kubelets, runtimes and settings"),
    "plan": ("shim.cli.plan", "say what an upgrade of a cluster's nodes does to the pods on them"),
    "skew": ("shim.cli.skew", "rehearse upgrades, flags and restarts: who changes, when, and why"),
    "serve": ("shim.cli.serve", "serve the CRI on a unix socket, as a node would"),
    "node": ("shim.cli.node", "show or change the node of a running server"),
    "kubelet": ("shim.cli.kubelet", "run the pods of a directory on a runtime, as a node's kubelet would"),
    "facts": ("shim.cli.facts", "say what changed between two releases of a component"),
    "profile": ("shim.cli.profile", "print the built-in profile of a release, or its audit variant"),
    "releases": ("shim.cli.releases", "list the known releases of a component"),
}

# Between two searches for garbage. A start makes many objects that stay: with Python's own 700 a tenth of the time that
# `explain` takes would go into looking at them.
_ALLOCATIONS = 50_000

_WRONG_USE, _FAILED, _INTERRUPTED, _BROKEN_PIPE = 2, 1, 130, 141


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    _open_what_is_closed()
    words = sys.argv[1:] if arguments is None else arguments
    verb = words[0] if words else "--help"
    if verb in VERBS:
        return _run(verb, words[1:])
    if verb in ("--help", "-h", "help"):
        return _say(_help())
    if verb in ("--version", "-V", "version"):
        return _say(f"crishim {VERSION}\n")
    import difflib

    close = difflib.get_close_matches(verb, VERBS, n=1)
    right = f"did you mean {close[0]}?" if close else "one of " + ", ".join(VERBS)
    sys.stderr.write(f"crishim: there is no verb {verb!r} ({right})\n")
    return _WRONG_USE


def _open_what_is_closed() -> None:
    """Give a program that was started without one of its standard streams an empty one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            import os

            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123  as long as the program


def _help() -> str:
    verbs = "\n".join(f"  {verb:<10}{line}" for verb, (_module, line) in VERBS.items())
    return (
        "Which linux.seccomp section would this container get, from this kubelet and this\n"
        "runtime, and why?\n\n"
        f"usage: crishim VERB [OPTIONS]\n\n{verbs}\n\n"
        "  crishim VERB --help   the options of a verb\n"
        "  crishim --version     the version of this program\n"
    )


def _say(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as fault:
        return _lost_output(fault)
    return 0


def _run(verb: str, words: list[str]) -> int:
    """Call a verb and turn what it raises into a sentence and an exit code."""
    import gc

    gc.set_threshold(_ALLOCATIONS)
    import click

    from runtimes.errors import BadInput, CrishimError, Refused

    try:
        return _call(verb, words)
    except BadInput as fault:
        code, sentence = _WRONG_USE, str(fault)
    except Refused as fault:
        code, sentence = _FAILED, f"crishim {verb}: the {fault.where} refuses: {fault}"
    except CrishimError as fault:
        code, sentence = _FAILED, f"crishim {verb}: {fault}"
    except click.ClickException as fault:
        fault.show()
        return fault.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except OSError as fault:
        if fault.filename is None:
            return _lost_output(fault)
        code, sentence = _FAILED, f"crishim {verb}: {fault.filename}: {fault.strerror}"
    sys.stderr.write(f"{sentence}\n")
    return code


def _call(verb: str, words: list[str]) -> int:
    from importlib import import_module
    from io import TextIOWrapper

    import click

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that has no place in the terminal's encoding
    command: click.Command = import_module(VERBS[verb][0]).command
    try:
        with command.make_context(f"crishim {verb}", words) as context:
            answer = command.invoke(context)
    except click.exceptions.Exit as leave:
        answer = leave.exit_code
    sys.stdout.flush()
    return answer if isinstance(answer, int) else 0


def _lost_output(fault: OSError) -> int:
    """Standard output is full or gone: keep the interpreter from writing to it once more on its way out."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(fault, BrokenPipeError):
        return _BROKEN_PIPE
    sys.stderr.write(f"crishim: cannot write the output: {fault.strerror or fault}\n")
    return _FAILED


if __name__ == "__main__":
    sys.exit(main())
