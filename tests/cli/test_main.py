"""The table of verbs, its exit codes and its manners."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from runtimes.errors import BadInput, CapacityExceeded, Refused
from shim.cli import main as cli
from shim.cli.main import VERBS, VERSION, main

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown and line in shown for verb, (_, line) in VERBS.items())
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"crishim {version('crishim')}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


@pytest.mark.parametrize(
    ("verb", "right"),
    [("explian", "did you mean explain?"), ("zzz", "one of explain, diff, matrix"), ("", "one of explain")],
)
def test_an_unknown_verb_is_a_sentence(verb: str, right: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"crishim: there is no verb {verb!r} ({right}")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: crishim {verb} ")


def test_help_and_version_import_nothing_that_takes_long() -> None:
    code = (
        "import sys; before = set(sys.modules); from shim.cli.main import main; main(['--help']); main(['--version']);"
        "print(sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert eval(done.stderr) == ["__future__", "shim", "shim.cli", "shim.cli.main"]  # noqa: S307  a list that we printed


def a_verb_that(raises: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise raises

    return command


@pytest.mark.parametrize(
    ("raises", "code", "words"),
    [
        (BadInput("is wrong", where="node.yaml", line=3, field="host"), 2, "node.yaml:3: host: is wrong\n"),
        (CapacityExceeded("too much"), 1, "crishim explain: too much\n"),
        (Refused("UNKNOWN", "no"), 1, "crishim explain: the runtime refuses: no\n"),
        (Refused("", "gate off", where="kubelet"), 1, "crishim explain: the kubelet refuses: gate off\n"),
        (click.UsageError("no such option"), 2, "Error: no such option\n"),
        (click.ClickException("nobody answers"), 1, "Error: nobody answers\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            FileNotFoundError(2, "No such file or directory", "/x"),
            1,
            "crishim explain: /x: No such file or directory\n",
        ),
    ],
)
def test_what_a_verb_raises_is_a_sentence_and_a_code(
    raises: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("shim.cli.explain.command", a_verb_that(raises))
    assert main(["explain"]) == code
    err = capsys.readouterr().err
    assert err.endswith(words)
    assert bool(err) == bool(words)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shim.cli.explain.command", a_verb_that(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["explain"])


def crishim(*words: str, stdout: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, cli.__file__, *words]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, check=False)


@pytest.mark.parametrize("words", [["--help"], ["node", "schema"]])
def test_a_reader_that_has_gone_is_no_error_to_speak_of(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = crishim(*words, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("words", [["--help"], ["node", "schema"]])
def test_output_that_cannot_be_written_is_a_sentence(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = crishim(*words, stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "crishim: cannot write the output: No space left on device\n"


@pytest.mark.parametrize(
    ("shut", "words", "code", "says"),
    [
        ("<&-", "explain -f -", 2, "standard input: there is nothing in it"),
        ("<&-", "plan --from NODE --to NODE", 2, "standard input: there is nothing in it"),
        (">&-", "node schema", 0, ""),
        (">&-", "--help", 0, ""),
        (">&-", "explain -f POD", 0, ""),
        ("2>&-", "explan", 2, ""),
        ("<&- >&- 2>&-", "explain -f POD", 0, ""),
    ],
)
def test_standard_streams_may_be_closed(shut: str, words: str, code: int, says: str) -> None:
    """As cron jobs and daemons have them: nothing is read, and what is written goes nowhere."""
    examples = ROOT / "examples"
    words = words.replace("NODE", f"{examples}/nodes/new-containerd.yaml").replace("POD", f"{examples}/pods/shop.yaml")
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" "{cli.__file__}" {words} {shut}'],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.startswith(says)
    assert bool(done.stderr) == bool(says)
