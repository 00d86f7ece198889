"""`runtime.settings`: the same as the file that a person would write.

Which file that is says containerd's docs/cri/config.md, and crio.conf(5).
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from runtimes.errors import BadInput
from shim.nodefile import BadDocument, Document, apply_settings, loads, open_node, reload_node, to_dict, to_yaml

UNSET = {"unset_seccomp_profile": "runtime/default"}


def config_of(document: Document) -> Any:
    return open_node(document).default.runtime.config  # type: ignore[attr-defined]


def said(name: str, version: str, **more: Any) -> Document:
    document = loads(f"runtime: {{name: {name}, version: {version}}}")
    return replace(document, runtime=replace(document.runtime, **more))


CASES = yaml.safe_load(Path(__file__).with_name("runtime_settings.yaml").read_text())


@pytest.mark.parametrize("row", CASES, ids=lambda row: f"{row['name']} {row['version']}: {' '.join(row['settings'])}")
def test_settings_are_as_the_file_that_a_person_would_write(tmp_path: Path, row: dict[str, Any]) -> None:
    file = tmp_path / "config"
    file.write_text(row["file"])
    by_hand, by_setting = (
        config_of(said(row["name"], row["version"], **how)) for how in (by_file(file), {"settings": row["settings"]})
    )
    if row["name"] == "containerd":
        assert by_setting.shown == by_hand.shown
        assert by_setting.default_handler == by_hand.default_handler
        assert [step.rule for step in by_setting.notes] == [step.rule for step in by_hand.notes]
    else:
        assert (by_setting.tables, by_setting.handlers) == (by_hand.tables, by_hand.handlers)
        assert by_setting.said == by_hand.said


def by_file(path: Path) -> dict[str, str]:
    return {"config": f"file://{path}"}


@pytest.mark.parametrize(
    ("name", "text", "settings", "found"),
    [
        pytest.param(
            "containerd",
            '[plugins.cri]\nsandbox_image = "a/b:1"\nunset_seccomp_profile = ""',
            UNSET,
            {"unset_seccomp_profile": "runtime/default", "pause_image": "a/b:1"},
            id="over a file of version 1, in its table",
        ),
        pytest.param(
            "containerd",
            'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "a/b:1"',
            UNSET,
            {"unset_seccomp_profile": "runtime/default", "pause_image": "a/b:1"},
            id="over a file of version 2, in its table",
        ),
        pytest.param(
            "cri-o",
            '[crio.image]\npause_image = "a/b:1"\n[crio.runtime]\nseccomp_profile = "/old.json"',
            {"seccomp_profile": ""},
            {"pause_image": "a/b:1", "seccomp_profile": ""},
            id="over crio.conf",
        ),
    ],
)
def test_settings_stand_over_what_the_file_says(
    tmp_path: Path, name: str, text: str, settings: dict[str, Any], found: dict[str, str]
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    version = {"containerd": "1.7.24", "cri-o": "1.36.3"}[name]
    config = config_of(said(name, version, settings=settings, **by_file(file)))
    if name == "containerd":
        now = {"unset_seccomp_profile": config.unset_seccomp_profile, "pause_image": config.pause_image}
    else:
        now = {**config.tables["crio.runtime"], **config.tables["crio.image"]}
    assert {key: now[key] for key in found} == found


def test_a_directory_of_drop_ins_gets_one_more_which_is_read_last(tmp_path: Path) -> None:
    for drop_in, limit in (("10-a.conf", 1), ("zz/zz.conf", 2)):
        path = tmp_path / "crio.conf.d" / drop_in
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[crio.runtime]\npids_limit = {limit}\nlog_size_max = {limit}\n")
    document = said("cri-o", "1.36.3", settings={"pids_limit": 3}, config="/crio.conf.d")
    config = config_of(replace(document, host=replace(document.host, root=str(tmp_path))))
    assert (config.runtime["pids_limit"], config.runtime["log_size_max"]) == (3, 2)


def test_a_setting_that_a_release_does_not_have_is_told_by_the_decision() -> None:
    """unset_seccomp_profile came with containerd 1.4.0; seccomp_use_default_when_empty went with CRI-O 1.30.0."""
    notes = config_of(said("containerd", "1.3.10", settings=UNSET)).notes
    assert [step.because for step in notes] == ["unset_seccomp_profile: no setting of containerd 1.3.10"]
    steps = config_of(said("cri-o", "1.30.0", settings={"seccomp_use_default_when_empty": True})).steps
    assert [(step.rule, step.warns) for step in steps] == [("ignored-key", True)]


WRONG = [
    (
        "{settings: {unset_secomp_profile: a}}",
        ("1:44: runtime.settings.unset_secomp_profile: containerd has no such setting (did you mean "
        "unset_seccomp_profile?)"),
    ),
    (
        "{name: cri-o, settings: {crio.image.seccomp_profile: a}}",
        ("1:63: runtime.settings.crio.image.seccomp_profile: cri-o has no such setting (did you mean "
        "privileged_seccomp_profile?)"),
    ),
    (
        "{settings: {unset_seccomp_profile: 1.5}}",
        '1:45: runtime.settings.unset_seccomp_profile: is a number "1.5", not text (in quotes: "1.5")',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("runtime", "answer"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_setting_is_told_with_its_place(runtime: str, answer: str) -> None:
    with pytest.raises(BadDocument) as raised:
        loads(f"runtime: {runtime}", "n.yaml")
    assert str(raised.value) == f"n.yaml:{answer}"


def test_a_value_of_the_wrong_type_is_told_by_the_release() -> None:
    with pytest.raises(BadInput, match="containerd does not start with true or false here"):
        open_node(said("containerd", "1.7.24", settings={"unset_seccomp_profile": True}))


def test_a_family_that_writes_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "thirdparty"))
    with pytest.raises(BadDocument, match=r"runtime\.settings\.anything: toy has no such setting"):
        loads("runtime: {name: toy, settings: {anything: 1}}")


def test_settings_are_set_and_taken_back_one_by_one() -> None:
    document = apply_settings(Document(), {"runtime.settings.unset_seccomp_profile": "runtime/default"})
    assert to_dict(document) == {"runtime": {"settings": UNSET}}
    assert loads(to_yaml(document)).runtime == document.runtime
    dotted = apply_settings(document, {"runtime.settings.containerd.default_runtime_name": "runc"})
    assert to_dict(dotted)["runtime"]["settings"] == {**UNSET, "containerd.default_runtime_name": "runc"}
    back = apply_settings(document, {"runtime.settings.unset_seccomp_profile": "null"})
    assert config_of(back).unset_seccomp_profile == ""


def test_a_reload_reads_them_again() -> None:
    """CRI-O takes seccomp_profile over on SIGHUP; a profile that is not there is not."""
    node = open_node(said("cri-o", "1.36.3"))
    changed, told = reload_node(replace(node, document=said("cri-o", "1.36.3", settings={"pids_limit": 7})))
    assert told[""].failure == ""
    assert changed.default.started_from is not None
    assert changed.default.started_from[0].settings == {"pids_limit": 7}
