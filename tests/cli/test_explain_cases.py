"""What `crishim explain` says about the cases that people ask about, and to files that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.cli.main import main

ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
HEAD = "apiVersion: v1\nkind: Pod\n"
ANNOTATED = HEAD + f"metadata: {{name: web, annotations: {{{ANNOTATION}: runtime/default}}}}\n"
SPEC = "spec: {containers: [{name: app, image: nginx}]}\n"
NAMED = HEAD + "metadata: {name: web}\n"
PRIVILEGED = NAMED + "spec: {containers: [{name: app, image: nginx, securityContext: {privileged: true}}]}\n"
EMPTY = (
    NAMED + "spec:\n  containers:\n  - name: app\n    image: nginx\n"
    "    securityContext: {seccompProfile: {type: Localhost, localhostProfile: ''}}\n"
)

# A case, the kubelet, the pod, where it comes from, what is asked for, and what has to be said about it.
CASES: list[tuple[str, str, str, str, str, list[str]]] = [
    (
        "an annotation that is not read any more",
        "version: 1.25.0",
        ANNOTATED + SPEC,
        "static",
        "Unconfined",
        [
            f"! the annotation {ANNOTATION} says 'runtime/default', which kubelet 1.25.0 does not read",
            "no seccompProfile is set, and seccompDefault is off: kubelet 1.25.0 sends Unconfined",
        ],
    ),
    (
        "the same from the API server, which still copies it",
        "version: 1.25.0",
        ANNOTATED + SPEC,
        "api",
        "RuntimeDefault, seccomp_profile_path runtime/default",
        [f"the API server turns the annotation {ANNOTATION}: runtime/default into RuntimeDefault"],
    ),
    (
        "the gate is on and the setting is not",
        "version: 1.24.0, featureGates: {SeccompDefault: true}",
        NAMED + SPEC,
        "api",
        "Unconfined",
        ["! the gate SeccompDefault is on, seccompDefault is not", "seccompDefault is off: kubelet 1.24.0 sends"],
    ),
    (
        "CVE-2023-2431 before the fix",
        "version: 1.26.4, seccompDefault: true",
        EMPTY,
        "api",
        "Unconfined, seccomp_profile_path runtime/default",
        ["! the container says Localhost '', and kubelet 1.26.4 makes Unconfined of that (CVE-2023-2431)"],
    ),
    (
        "CVE-2023-2431 after the fix",
        "version: 1.26.5, seccompDefault: true",
        EMPTY,
        "api",
        "nothing",
        [
            "refused by the kubelet: CreateContainerConfigError",
            "localhostProfile must be set if seccompProfile type is Localhost.",
            "the container says Localhost and names no profile",
        ],
    ),
    (
        "privileged with seccompDefault",
        "version: 1.30.0, seccompDefault: true",
        PRIVILEGED,
        "api",
        "RuntimeDefault",
        [
            "gets no filter: unconfined",
            "no seccompProfile is set, and seccompDefault is on: RuntimeDefault",
            "privileged is sent beside the profile: what the profile then counts for is the runtime's decision",
            "privileged: no filter is set, whatever the request names",
        ],
    ),
    (
        "a static pod with annotations",
        "version: 1.22.0",
        ANNOTATED + SPEC,
        "static",
        "Unconfined, seccomp_profile_path runtime/default",
        [
            f"! seccomp_profile_path is what the annotation {ANNOTATION} says, 'runtime/default'",
            "the message seccomp, which a runtime prefers, does not follow it",
            '! the message `seccomp` is there: seccomp_profile_path ("runtime/default") is not looked at',
        ],
    ),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "node.yaml").write_text(
        "host: {arch: amd64, kernel: 6.1.0, root: .}\n"
        "runtime: {name: containerd, version: 1.6.20}\n"
        "kubelet: {version: 1.30.0}\n"
    )
    return tmp_path


@pytest.mark.parametrize(("case", "kubelet", "pod", "source", "asked", "said"), CASES, ids=[case[0] for case in CASES])
def test_a_case_reads_well(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    case: str,
    kubelet: str,
    pod: str,
    source: str,
    asked: str,
    said: list[str],
) -> None:
    (here / "pod.yaml").write_text(pod)
    (here / "node.yaml").write_text(
        "host: {arch: amd64, kernel: 6.1.0, root: .}\n"
        "runtime: {name: containerd, version: 1.6.20}\n"
        f"kubelet: {{{kubelet}}}\n"
    )
    main(["explain", "-f", "pod.yaml", "--node", "node.yaml", "--source", source])
    text = " ".join(capsys.readouterr().out.split())
    container = text.partition("container app")[2]
    assert container.startswith(f" asks for {asked} gets "), case
    for words in said:
        assert words in container, case


API_SAYS = "Invalid value: \"../x\": must not contain '..'"
WRONG: list[tuple[str, bytes, list[str]]] = [
    ("nothing", b"", ["pod.yaml: there is nothing in it"]),
    ("no YAML", b"a: [\n", ["pod.yaml:2:1: it is no YAML"]),
    ("no pod", b"apiVersion: v1\nkind: Service\n", ["pod.yaml: there is no pod in it, only Service"]),
    ("an unknown kind", b"apiVersion: v9\nkind: Gadget\n", ["pod.yaml: there is no pod in it, only Gadget"]),
    ("no manifest at all", b"- 1\n", ["pod.yaml:1: it is no manifest"]),
    (
        "a wrong type",
        (NAMED + "spec: {containers: [{name: app, securityContext: {privileged: 'yes'}}]}\n").encode(),
        ["pod.yaml:4: spec.containers[0].securityContext.privileged: true or false is expected, not text"],
    ),
    ("a key that stands twice", (NAMED + SPEC + SPEC).encode(), ["pod.yaml:5:1: the key 'spec' stands twice"]),
    ("a tab", (NAMED + "spec:\n\tcontainers: []\n").encode(), ["pod.yaml:5:1: a tab stands where YAML wants spaces"]),
    ("no UTF-8", NAMED.encode() + b"x: \xff\n", ["pod.yaml:4: byte 0xff is no UTF-8"]),
    (
        "a profile outside of its folder",
        EMPTY.replace("''", "../x").encode(),
        [f"pod.yaml:8: spec.containers[0].securityContext.seccompProfile.localhostProfile: {API_SAYS}"],
    ),
    (
        "two rules broken",
        EMPTY.replace("''", "../x").replace("metadata:", "metadata:").encode()
        + b"  securityContext: {seccompProfile: {type: Bogus}}\n",
        [
            f"pod.yaml:8: spec.containers[0].securityContext.seccompProfile.localhostProfile: {API_SAYS}",
            'pod.yaml:9: spec.securityContext.seccompProfile.type: Unsupported value: "Bogus"',
        ],
    ),
]


@pytest.mark.parametrize(("case", "raw", "sentences"), WRONG, ids=[row[0] for row in WRONG])
def test_a_file_that_is_wrong(
    here: Path, capsys: pytest.CaptureFixture[str], case: str, raw: bytes, sentences: list[str]
) -> None:
    (here / "pod.yaml").write_bytes(raw)
    assert main(["explain", "-f", "pod.yaml", "--node", "node.yaml"]) == 2, case
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(sentences)
    for line, sentence in zip(said, sentences, strict=True):
        assert line.startswith(sentence)


def test_a_list_of_50_megabytes_with_a_fault_at_its_end(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"a":"%s"}},"spec":{}},' % ("x" * 5000)
    number = 50_000_000 // len(pod) + 1
    bad = pod.rstrip(",").replace('"spec":{}', '"spec":{"containers":"none"}')
    with (here / "pods.json").open("w") as file:
        file.write('{"apiVersion":"v1","kind":"List","items":[' + pod * number + bad + "]}")
    assert (here / "pods.json").stat().st_size > 50_000_000
    assert main(["explain", "-f", "pods.json", "--node", "node.yaml"]) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert answer.err == f"pods.json: items[{number}].spec.containers: a list is expected, not text\n"
