"""`crishim matrix` as a person and a program see it."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shim.cli.main import main
from shim.kubelet import manifest
from shim.nodefile import default_document
from shim.skew.matrix.lab import Lab, cells, pieces
from shim.skew.matrix.matrix import Cell, matrix
from tests.skew.test_work import dask_cluster

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: app, image: nginx}
  - name: file
    image: nginx
    securityContext: {seccompProfile: {type: Localhost, localhostProfile: "not \\"there\\", really.json"}}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  template:
    spec:
      containers:
      - {name: app, image: db, securityContext: {seccompProfile: {type: RuntimeDefault}}}
"""
KUBELETS, RUNTIMES = ["1.22..1.26"], ["containerd@1.4..1.7", "cri-o@1.23..1.25"]
SETTINGS = ["seccompDefault=true,false", "unset_seccomp_profile=,runtime/default"]
AXES = [
    *(word for each in KUBELETS for word in ("--kubelet", each)),
    *(word for each in RUNTIMES for word in ("--runtime", each)),
    *(word for each in SETTINGS for word in ("--set", each)),
]


pytestmark = pytest.mark.usefixtures("files")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pod.yaml").write_text(POD)
    (tmp_path / "more" / "deep").mkdir(parents=True)
    (tmp_path / "more" / "deep" / "deployment.yaml").write_text(DEPLOYMENT)
    (tmp_path / "more" / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    )
    (tmp_path / "more" / "notes.txt").write_text("no manifest")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["matrix", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def decided() -> list[Cell]:
    made = matrix(default_document(), KUBELETS, RUNTIMES, SETTINGS)
    pods = [*manifest.pods(POD, "pod.yaml"), *manifest.pods(DEPLOYMENT, "more/deep/deployment.yaml")]
    return [cell for pod, runtime, piece in pieces(made, pods) for cell in cells(made, pod, runtime, piece)]


def as_line(cell: Cell) -> dict[str, Any]:
    settings = dict((*cell.kubelet.settings, *cell.runtime.settings))
    error = cell.outcome.error
    return {
        "kubelet": cell.kubelet.release,
        "runtime": f"{cell.runtime.family}@{cell.runtime.release}",
        "settings": {key: settings[key] for key in ("seccompDefault", "unset_seccomp_profile") if key in settings},
        "file": cell.pod.origin.where,
        "pod": str(cell.pod),
        "container": cell.container,
        "outcome": cell.outcome.kind,
        "profile": cell.outcome.title(cell.runtime),
        "digest": cell.outcome.digest,
        "error": error and {"where": error.where, "reason": error.reason, "code": error.code, "message": error.message},
    }


def test_json_lines_are_the_cells(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "-f", "pod.yaml", "-f", "more", *AXES, "-o", "jsonl")
    assert (code, err) == (0, "more/kustomization.yaml is passed over: there is no pod in it\n")
    assert [json.loads(line) for line in out.splitlines()] == [as_line(cell) for cell in decided()]


def test_csv_is_the_cells(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "-f", "pod.yaml", "-f", "**/d*.yaml", *AXES, "-o", "csv")
    assert code == 0
    lines = [as_line(cell) for cell in decided()]
    assert list(csv.DictReader(io.StringIO(out))) == [
        {
            "kubelet": line["kubelet"],
            "runtime": line["runtime"],
            "seccompDefault": line["settings"]["seccompDefault"],
            "unset_seccomp_profile": line["settings"].get("unset_seccomp_profile", ""),
            **{name: line[name] for name in ("file", "pod", "container", "outcome", "profile", "digest")},
            "refused_by": line["error"]["where"] if line["error"] else "",
            "error": line["error"]["message"] if line["error"] else "",
        }
        for line in lines
    ]


def test_the_table_says_it_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Who fails where is the facts' affair (tests/skew/matrix_facts.yaml); this is how it is told."""
    code, out, err = run(capsys, "-f", "pod.yaml", "--kubelet", "1.23..1.26", "--runtime", "containerd@1.4..1.6")
    assert (code, err) == (0, "")
    title, summary, app, file, legend, *findings = out.split("\n\n")
    assert title == "default/web on 3 runtimes under 4 kubelets"
    assert summary.splitlines()[0] == "24 cells: 14 refused, 10 Unconfined."
    assert app.splitlines() == [
        "default/web: app",
        "under kubelet        1.23..1.25  1.26",
        "containerd 1.4..1.5  Unconfined  x no common CRI",
        "containerd 1.6       Unconfined  Unconfined",
    ]
    assert file.splitlines() == [
        "default/web: file",
        "under kubelet        1.23..1.25              1.26",
        "containerd 1.4..1.5  x CreateContainerError  x no common CRI",
        "containerd 1.6       x CreateContainerError  x CreateContainerError",
    ]
    assert legend == "x not made: refused"
    (told,) = findings
    note, warning = told.splitlines()
    assert note.startswith("note: no common CRI in 4 cells, as on containerd 1.4.13 under kubelet 1.26.15: ")
    assert warning.startswith("warning: pod.yaml:8: default/web file: refused in 10 cells, as on containerd 1.4.13 ")


def test_a_table_is_at_most_80_columns_wide(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(
        capsys,
        "-f",
        "pod.yaml",
        "-f",
        "more",
        "--kubelet",
        "1.19..1.36",
        "--runtime",
        "containerd@1.3.*, 1.4..",
        *AXES[-4:],
    )
    table = out.partition("\nnote: ")[0]
    assert max(map(len, table.splitlines())) <= 80


def test_sections_are_told_apart_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """2.0.9 blocks socket(AF_ALG), which 2.1.9 allows again (containerd release notes)."""
    words = ["-f", "more/deep/deployment.yaml", "--kubelet", "1.36", "--runtime", "containerd@2.0.8,2.0.9,2.1.9"]
    _, by_outcome, _ = run(capsys, *words)
    assert "containerd 2.0.8..2.1.9  RuntimeDefault\n" in by_outcome
    assert "RuntimeDefault is 2 different sections among them: --fold section tells which." in by_outcome
    _, by_section, _ = run(capsys, *words, "--fold", "section")
    signs = {line.split()[1]: line.split()[2] for line in by_section.splitlines() if line.startswith("containerd 2")}
    assert (signs["2.0.9"], signs["2.1.9"]) == ("-", "+")
    assert signs["2.0.8"] == "RuntimeDefault"


def test_a_field_leads_to_the_steps_and_the_changes(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--kubelet", "1.36", "--runtime", "containerd@2.0.9,2.1.9", "--fold", "section", "--json"]
    _, out, _ = run(capsys, "-f", "more/deep/deployment.yaml", *words)
    report = json.loads(out)
    later = report["details"][report["rows"][1]["cells"][0]["detail"]]
    assert later["title"] == "shop/db app: containerd 2.1.9 under kubelet 1.36.3"
    assert later["before"] == "RuntimeDefault of containerd 2.0.9, on containerd 2.0.9"
    assert later["after"] == "RuntimeDefault of containerd 2.1.9"
    assert any("socket" in change and change.startswith("+ ") for change in later["changes"])
    assert later["steps"]
    assert later["stepsBefore"]


FORMATS = [("-o", "jsonl"), ("--fold", "section"), ("--json",)]


@pytest.mark.parametrize("format_", FORMATS, ids=" ".join)
def test_the_bytes_are_the_same_for_any_number_of_jobs(
    capsys: pytest.CaptureFixture[str], format_: tuple[str, ...]
) -> None:
    words = ["-f", "pod.yaml", "-f", "more", *AXES, *format_]
    assert run(capsys, *words, "--jobs", "1") == run(capsys, *words, "--jobs", "2")


def test_the_bytes_are_the_same_on_a_dask_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-f", "pod.yaml", "-f", "more", *AXES]
    files_of = ["--report", "page.html", "--sarif", "found.sarif"]
    with dask_cluster(2) as cluster:
        for format_ in (["-o", "jsonl"], files_of):
            told = run(capsys, *words, *format_, "--dask", cluster.scheduler_address)
            written = [Path(name).read_bytes() for name in format_[1::2] if Path(name).exists()]
            assert told == run(capsys, *words, *format_)
            assert written == [Path(name).read_bytes() for name in format_[1::2] if Path(name).exists()]


def test_findings_stand_on_the_line_of_their_container(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "-f", "pod.yaml", "--kubelet", "1.36", "--sarif", "found.sarif")
    (result,) = json.loads(Path("found.sarif").read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["region"]["startLine"] == 1 + POD.splitlines().index("  - name: file")


def test_ctrl_c_delivers_what_was_finished(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole, times = Lab.piece, iter(range(100))

    def interrupted(lab: Lab, *arguments: Any) -> Any:
        if next(times) == 16:
            raise KeyboardInterrupt
        return whole(lab, *arguments)

    monkeypatch.setattr(Lab, "piece", interrupted)
    code, out, err = run(capsys, "-f", "pod.yaml", *AXES, "--runtime", "containerd@2.0..2.3")
    assert code == 130
    assert err == "crishim matrix: interrupted: 16 of 19 pairs of a pod and a runtime were decided\n"
    assert "containerd 1.4" in out
    assert out.endswith("interrupted: 16 of 19 pairs of a pod and a runtime were decided\n")
    assert "cri-o" not in out


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_in_a_terminal_leaves_whole_lines(jobs: str) -> None:
    """A process that nobody reads from cannot be done: a pipe holds less than these lines."""
    command = [
        sys.executable,
        "-m",
        "shim.cli.main",
        "matrix",
        "-f",
        "pod.yaml",
        "--kubelet",
        "1.25.*",
    ]
    command += ["--runtime", "containerd@all", "--runtime", "cri-o@all", "-o", "jsonl", "--jobs", jobs]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        lines = [first, *process.stdout.readlines()]
        told = process.stderr.read()
        assert process.wait() == 130
    assert told.startswith("crishim matrix: interrupted: ")
    done = int(told.split()[3])
    assert 0 < done < 345
    assert len([json.loads(line) for line in lines]) == done * 2 * 17


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["-f", "nothing.yaml"], "nothing.yaml: cannot be read: No such file or directory\n"),
        (["-f", "*.json"], "--filename: no file is called *.json (a path, or a pattern in quotes)\n"),
        (
            ["-f", "empty"],
            "--filename: empty is a directory without a manifest (files that end in .json, .yaml, .yml)\n",
        ),
        (
            ["-f", "nothing.yaml", "--kubelet", "2.0", "--node", "none.yaml"],
            (
                "none.yaml: cannot be read: No such file or directory\n"
                "--kubelet: kubelet 2.0 is not a known line of releases (the known lines go from 1.18 to 1.36)\n"
                "nothing.yaml: cannot be read: No such file or directory\n"
            ),
        ),
        (["-f", "pod.yaml", "-o", "csv", "--json"], "-o csv and --json: both would be printed (choose one of them)\n"),
    ],
)
def test_what_is_wrong_is_told_at_once_and_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], files: Path, words: list[str], answer: str
) -> None:
    (files / "empty").mkdir()
    assert run(capsys, *words) == (2, "", answer)


def test_a_directory_without_a_pod_is_no_input(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    (files / "none").mkdir()
    (files / "none" / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n")
    assert run(capsys, "-f", "none") == (2, "", "--filename: no pod is in any of the files\n")


def test_standard_input_is_a_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(POD.encode())))
    code, out, _ = run(capsys, "-f", "-", "-o", "jsonl", "--kubelet", "1.36")
    assert code == 0
    assert {json.loads(line)["file"] for line in out.splitlines()} == {"standard input"}
