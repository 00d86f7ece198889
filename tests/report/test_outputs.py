"""The options that every verb with a report has, on a verb of the test's own."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from runtimes.errors import BadInput
from shim.cli.outputs import Output, outputs, write
from shim.report.model import Report

REPORT = Report(verb="matrix", title="A title")

Verb = Callable[..., Output]


def names(directory: Path = Path()) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verb:
    """Call a verb with options, in a directory of its own; it returns what it was given."""
    monkeypatch.chdir(tmp_path)

    @click.command("verb")
    @click.argument("word")
    @outputs
    def command(word: str, output: Output) -> Output:
        assert word == "word"
        output.deliver(REPORT, lambda: "as text")
        return output

    def call(*options: str) -> Output:
        with command.make_context("verb", ["word", *options]) as context:
            answer: Output = command.invoke(context)
            return answer

    return call


def test_text_is_printed_where_nothing_is_asked_for(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb() == Output()
    assert capsys.readouterr().out == "as text\n"
    assert names() == []


def test_json_takes_the_place_of_text(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb("--json")
    assert json.loads(capsys.readouterr().out) == {"verb": "matrix", "title": "A title"}


def test_two_printed_forms_are_refused(verb: Verb) -> None:
    with pytest.raises(BadInput, match=r"^--json and --markdown: .*\(choose one of them\)$"):
        verb("--json", "--markdown")


@pytest.mark.parametrize("option", ["--report", "--junit", "--sarif"])
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        pytest.param("nowhere/file", "there is no directory", id="its directory is not there"),
        pytest.param("plain/file", "there is no directory", id="its directory is a file"),
        pytest.param("folder", "folder is a directory", id="it is a directory"),
        pytest.param("new/", "no name of a file", id="it is called like a directory"),
        pytest.param("", "no name of a file", id="it has no name"),
        pytest.param("nul\0", "no name of a file", id="no file can be called so"),
        pytest.param("dangling", "there is no directory", id="it is a link into a directory that is not there"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    verb: Verb, capsys: pytest.CaptureFixture[str], option: str, path: str, sentence: str
) -> None:
    Path("plain").touch()
    Path("folder").mkdir()
    Path("dangling").symlink_to("gone/file")
    with pytest.raises(BadInput, match=f"^{option}: .*{sentence}"):
        verb(option, path)
    assert capsys.readouterr().out == ""


def test_one_file_for_two_reports_is_refused(verb: Verb) -> None:
    with pytest.raises(BadInput, match=r"^--junit and --sarif: both name \./x"):
        verb("--junit", "x", "--sarif", "./x")


def test_all_that_is_asked_for_is_written_and_printed(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb("--report", "r.html", "--junit", "j.xml", "--sarif", "s.json")
    assert names() == ["j.xml", "r.html", "s.json"]
    assert Path("r.html").read_text().startswith("<!doctype html>")
    assert Path("j.xml").read_text().startswith("<?xml")
    assert json.loads(Path("s.json").read_text())["version"] == "2.1.0"
    assert capsys.readouterr().out == "as text\n"


def test_what_can_be_written_is_written_though_another_file_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Output(report=str(tmp_path / "gone/r.html"), junit=str(tmp_path / "j.xml"))
    with pytest.raises(FileNotFoundError) as caught:
        output.deliver(REPORT, lambda: "as text")
    assert caught.value.filename == output.report
    assert names(tmp_path) == ["j.xml"]
    assert capsys.readouterr().out == "as text\n"


def test_an_interrupted_writing_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(str(file), "new")
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to("file")
    write(str(link), "new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write(str(tmp_path / "file"), "new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(str(pipe), "through")
    reader.join()
    assert read == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
