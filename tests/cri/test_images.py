"""ImageService over its socket: what is said of an image in the node file, as a client sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cri.harness import NODE, V1, Admin, container, pod, running

IMAGES = """
images:
  quay.io/shop/web:1.2: {user: "1000:2000"}
  quay.io/shop/named:1: {user: "nginx:www"}
"""


@pytest.mark.parametrize("handler", ["", "crio-1.36", "containerd-1.6"])
def test_a_client_sees_whom_an_image_runs_as(short_path: Path, handler: str) -> None:
    """What `crictl inspecti` prints: uid or username of ImageStatus, and config.User of the verbose info."""
    with running(short_path / "a.sock", NODE + IMAGES):
        client = V1(short_path / "a.sock")
        seen = {}
        for name in ("quay.io/shop/web:1.2", "quay.io/shop/named:1", "quay.io/shop/other:1"):
            spec = {"image": name, "runtime_handler": handler}
            client("PullImage", image=spec)
            status = client("ImageStatus", image=spec, verbose=True)
            (listed,) = client("ListImages", filter={"image": spec}).images
            assert listed == status.image
            config = json.loads(status.info["info"])["imageSpec"]["config"]
            uid = status.image.uid.value if status.image.HasField("uid") else None
            seen[name.rpartition("/")[2]] = uid, status.image.username, config.get("User")
        client.channel.close()
    assert seen == {
        "web:1.2": (1000, "", "1000:2000"),
        "named:1": (None, "nginx", "nginx:www"),
        "other:1": (None, "", None),
    }


@pytest.mark.parametrize("handler", ["", "crio-1.36", "containerd-1.6"])
@pytest.mark.parametrize(("user", "uid"), [("7:8", 7), ("nginx", 1000), ("root", 0), ("nginx:www", 1000)])
def test_a_container_runs_as_its_image_says(short_path: Path, handler: str, user: str, uid: int) -> None:
    """A kubelet sends the image's user; crictl sends none, and the runtime takes the image's."""
    with running(short_path / "a.sock", NODE):
        admin, client = Admin(short_path / "a.sock"), V1(short_path / "a.sock")
        image = "quay.io/shop/web:1.2"
        answer = admin("Set", settings={f"images.{image}.user": user})
        assert list(answer.changes) == [f"images.{image}.user: none -> {user}"]
        client("PullImage", image={"image": image})
        sandbox = client("RunPodSandbox", config=pod("a"), runtime_handler=handler).pod_sandbox_id
        for name, security in (("crictl", {}), ("kubelet", {"run_as_username": user.partition(":")[0]})):
            if security and user[0].isdigit():
                continue
            config = container(name, image={"image": image}, linux={"security_context": security})
            made = client("CreateContainer", pod_sandbox_id=sandbox, config=config, sandbox_config=pod("a"))
            info = client("ContainerStatus", container_id=made.container_id, verbose=True).info["info"]
            assert json.loads(info)["runtimeSpec"]["process"]["user"]["uid"] == uid
        admin.channel.close()
        client.channel.close()
