"""How fast is it? Every figure stands beside one that was measured in the same run, on the same machine.

    scripts/bench [--seconds 3] [--sizes 100,1000,10000] [--pods 20000] [--only manifests|skew] [--json FILE]

What a call costs here is mostly what grpcio costs; so each figure is a ratio to a server whose handlers do nothing, and
each start-up time one to `python -c pass`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from scripts import bench_models, bench_skew
from shim.cri.pb.runtime.v1 import api_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Work = Callable[[int], Awaitable[Any]]

HERE = Path(__file__).resolve().parent
OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", 64 << 20),
]
CRISHIM = str(Path(sys.executable).with_name("crishim"))
IMAGE = "registry.k8s.io/e2e-test-images/busybox:1.29-2"
CALLERS = 8

# The server to compare with: one grpc.aio handler that takes any request and answers the same few bytes.
EMPTY = """
import asyncio, sys, grpc
async def main():
    server = grpc.aio.server()
    async def nothing(request, context): return b""
    class Every(grpc.GenericRpcHandler):
        def service(self, details): return grpc.unary_unary_rpc_method_handler(nothing)
    server.add_generic_rpc_handlers((Every(),))
    server.add_insecure_port("unix:" + sys.argv[1])
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""


class Client:
    """Calls by name over one connection."""

    def __init__(self, socket: str) -> None:
        self.channel = grpc.aio.insecure_channel(f"unix:{socket}", options=OPTIONS)
        runtime = pb.DESCRIPTOR.services_by_name["RuntimeService"]
        self.answers = {method.name: getattr(pb, method.output_type.name) for method in runtime.methods}

    async def call(self, method: str, request: Any, *, service: str = "RuntimeService") -> Any:
        rpc: Any = self.channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.answers.get(method, pb.PullImageResponse).FromString,
        )
        return await rpc(request, timeout=60)


class Figure:
    """Calls a second and how long one takes, in milliseconds."""

    def __init__(self, durations: list[float], elapsed: float, calls: int = 1) -> None:
        ordered = sorted(durations)
        self.durations, self.elapsed, self.calls = durations, elapsed, calls
        self.rate = calls * len(ordered) / elapsed
        self.p50 = 1000 * statistics.median(ordered)
        self.p99 = 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]

    @classmethod
    def of(cls, parts: list[Figure]) -> Figure:
        """Put together what was measured in parts."""
        durations = [duration for part in parts for duration in part.durations]
        return cls(durations, sum(part.elapsed for part in parts), parts[0].calls)


async def measure(work: Work, seconds: float, callers: int, calls: int = 1) -> Figure:
    """Run `work(serial)` from several callers for a while. `calls` is how many RPCs one piece of work makes."""
    durations: list[float] = []
    start = time.perf_counter()
    end, serial = start + seconds, iter(range(1 << 40))

    async def caller() -> None:
        while (before := time.perf_counter()) < end:
            await work(next(serial))
            durations.append(time.perf_counter() - before)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return Figure(durations, time.perf_counter() - start, calls)


def sandbox_config(serial: int) -> Any:
    """Return a sandbox as a kubelet sends it."""
    uid = f"00000000-0000-4000-8000-{serial:012d}"
    config = pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name=f"bench-{serial}", uid=uid, namespace="bench", attempt=0),
        log_directory=f"/var/log/pods/bench_bench-{serial}_{uid}",
        labels={
            "io.kubernetes.pod.name": f"bench-{serial}",
            "io.kubernetes.pod.namespace": "bench",
            "io.kubernetes.pod.uid": uid,
        },
        annotations={"kubernetes.io/config.source": "api"},
    )
    config.linux.security_context.seccomp.profile_type = pb.SecurityProfile.RuntimeDefault
    return config


def container_request(sandbox: str, config: Any, serial: int) -> Any:
    """Return a container as a kubelet sends it: the runtime's default profile, the usual labels and annotations."""
    container = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=f"c{serial}", attempt=0),
        image=pb.ImageSpec(image=IMAGE, user_specified_image=IMAGE),
        command=["sleep", "3600"],
        labels={**config.labels, "io.kubernetes.container.name": f"c{serial}"},
        annotations={
            f"io.kubernetes.container.{key}": "1" for key in ("hash", "restartCount", "terminationMessagePath")
        },
    )
    container.linux.security_context.seccomp.profile_type = pb.SecurityProfile.RuntimeDefault
    return pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=container, sandbox_config=config)


@contextlib.contextmanager
def server(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a server until it is no longer needed; it is up when it has said its first line."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            sys.exit(f"{arguments[0]} did not start")
        yield process
    finally:
        process.terminate()
        process.wait(10)


def resident(process: subprocess.Popen[str]) -> int:
    """Return how much memory a process holds, in bytes."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def start_up(arguments: list[str], *, rounds: int = 15) -> float:
    """Return the median wall time of a command in milliseconds, once Python has kept what it compiled."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(rounds + 1):
        before = time.perf_counter()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)
        times.append(1000 * (time.perf_counter() - before))
    return statistics.median(times[1:])


class Bench:
    """Both servers, and the figures so far: each beside what the empty handler did just before and after it."""

    def __init__(self, idle: Client, client: Client, seconds: float) -> None:
        self.idle, self.client, self.seconds = idle, client, seconds
        self.rows: dict[str, tuple[Figure, Figure]] = {}

    async def row(self, name: str, work: Work, *, callers: int = CALLERS, calls: int = 1) -> None:
        """Add a figure."""

        async def empty() -> Figure:
            return await measure(lambda _: self.idle.call("Version", pb.VersionRequest()), self.seconds / 2, callers)

        before = await empty()
        figure = await measure(work, self.seconds, callers, calls)
        self.rows[name] = (figure, Figure.of([before, await empty()]))


async def calls(process: subprocess.Popen[str], bench: Bench, sizes: list[int]) -> float:
    """Measure everything; return the resident memory of a container in bytes."""
    client = bench.client
    await client.call("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=IMAGE)), service="ImageService")
    await bench.row("Version", lambda _: client.call("Version", pb.VersionRequest()))

    async def pair(serial: int) -> None:
        config = sandbox_config(serial)
        sandbox = await client.call("RunPodSandbox", pb.RunPodSandboxRequest(config=config))
        await client.call("CreateContainer", container_request(sandbox.pod_sandbox_id, config, serial))

    await bench.row("RunPodSandbox + CreateContainer", pair, calls=2)

    shared = sandbox_config(10**9)
    sandbox = (await client.call("RunPodSandbox", pb.RunPodSandboxRequest(config=shared))).pod_sandbox_id

    async def create(serial: int) -> None:
        await client.call("CreateContainer", container_request(sandbox, shared, 10**6 + serial))

    await bench.row("CreateContainer", create)
    await empty_the_node(client)
    shared = sandbox_config(2 * 10**9)
    sandbox = (await client.call("RunPodSandbox", pb.RunPodSandboxRequest(config=shared))).pod_sandbox_id
    made, first, before = 0, "", resident(process)

    async def inspect(_: int) -> None:
        await client.call("ContainerStatus", pb.ContainerStatusRequest(container_id=first, verbose=True))

    async def everything(_: int) -> None:
        await client.call("ListContainers", pb.ListContainersRequest())

    for size in sizes:
        while made < size:
            answer = await client.call("CreateContainer", container_request(sandbox, shared, made))
            made, first = made + 1, first or answer.container_id
        if size == sizes[0]:
            await bench.row("ContainerStatus (verbose)", inspect)
        await bench.row(f"ListContainers, {size}", everything, callers=1)
        if size == sizes[0]:
            before = resident(process)
    return (resident(process) - before) / max(1, sizes[-1] - sizes[0])


async def empty_the_node(client: Client) -> None:
    """Remove every sandbox, and with it every container."""
    for item in (await client.call("ListPodSandbox", pb.ListPodSandboxRequest())).items:
        await client.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=item.id))


async def run(folder: Path, seconds: float, sizes: list[int]) -> tuple[Bench, float]:
    """Start both servers and measure."""
    empty, socket = folder / "empty.sock", folder / "crishim.sock"
    serve = [
        CRISHIM,
        "serve",
        "--listen",
        f"unix://{socket}",
        "--state",
        str(folder / "state"),
        "--log-level",
        "warning",
    ]
    with server([sys.executable, "-c", EMPTY, str(empty)]), server(serve) as process:
        bench = Bench(Client(str(empty)), Client(str(socket)), seconds)
        return bench, await calls(process, bench, sizes)


def main() -> None:
    """Measure, print a table, and keep the figures as JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each figure is measured")
    parser.add_argument("--sizes", default="100,1000,10000", help="numbers of containers to list")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--pods", type=int, default=20_000, help="how many pods the dump of a cluster has")
    parser.add_argument("--only", choices=["manifests", "skew"], help="measure that and nothing else")
    options = parser.parse_args()
    if options.only == "skew":
        figures = bench_skew.measure()
        print(figures["says"])
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1))
        return
    script = [sys.executable, str(HERE / "bench_manifests.py"), str(options.pods)]
    manifests = json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
    if options.only:
        print(manifests["says"])
        return
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="crishim-bench-") as folder:
        bench, memory = asyncio.run(run(Path(folder), options.seconds, sizes))
    print(f"{'':34}{'calls/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}  (calls/s, to an empty handler)")
    rows = {}
    for name, (figure, empty) in bench.rows.items():
        ratio = figure.rate / empty.rate
        rows[name] = {"rate": figure.rate, "p50_ms": figure.p50, "p99_ms": figure.p99, "ratio": ratio}
        print(f"{name:34}{figure.rate:9.0f}{figure.p50:9.2f}{figure.p99:9.2f}{ratio:8.2f}  ({empty.rate:.0f}/s)")
    decided, loaded = bench_models.rates(options.seconds), bench_models.loading()
    print()
    for name, rate in decided.items():
        print(f"{name:34}{rate:9.0f}/s")
    print(f"{'facts of containerd':34}{loaded:9.1f} ms to load")
    print(f"\nmemory per container: {memory / 1024:.1f} KiB of resident set")
    bare = start_up([sys.executable, "-c", "pass"])
    explain = [CRISHIM, "explain", "-f", str(HERE.parent / "examples/pods/shop.yaml")]
    starts = {"crishim --help": start_up([CRISHIM, "--help"]), "crishim explain": start_up(explain)}
    print(f"\npython -c pass: {bare:.1f} ms")
    for name, milliseconds in starts.items():
        print(f"{name}: {milliseconds:.1f} ms, {milliseconds / bare:.1f} times as long")
    print(f"\n{manifests['says']}")
    skew = bench_skew.measure()
    print(f"\n{skew['says']}")
    if options.json:
        ratios = {name: milliseconds / bare for name, milliseconds in starts.items()}
        figures = {
            "calls": rows,
            "decisions": decided,
            "facts_ms": loaded,
            "bytes_per_container": memory,
            "start_up_ratio": ratios,
            "manifests": manifests,
            "skew": skew,
        }
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
