"""What a kubelet does next: what it sees and what it wants -> actions.

Pure: the caller carries them out and looks again.

Nothing here looks at seccomp, and that is the point: neither seccompDefault nor the profile root is among the reasons
for which a sandbox or a container is replaced, so a changed setting reaches new and restarted containers only.
Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go (podSandboxChanged, computePodActions, SyncPod, doBackOff) and
pkg/kubelet/container/helpers.go (ShouldContainerBeRestarted) at v1.18.6, v1.28.14 and v1.36.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shim.kubelet.backoff import BackOff
    from shim.kubelet.observed import Container, Sandbox, Seen, Wanted, WantedContainer


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do for a pod, and why."""

    uid: str
    why: str


class StopContainer(Action, frozen=True, kw_only=True):
    """Stop a container, which has `grace` seconds."""

    id: str
    name: str
    grace: int


class StopSandbox(Action, frozen=True, kw_only=True):
    """Stop a sandbox."""

    id: str


class RemoveContainer(Action, frozen=True, kw_only=True):
    """Forget a container that has ended."""

    id: str


class RemoveSandbox(Action, frozen=True, kw_only=True):
    """Forget a sandbox that was stopped."""

    id: str


class RunSandbox(Action, frozen=True, kw_only=True):
    """Make a sandbox."""

    attempt: int


class StartContainer(Action, frozen=True, kw_only=True):
    """Create and start a container; without a `sandbox_id` in the sandbox that was just made."""

    name: str
    restarts: int
    hash: str
    sandbox_id: str
    finished_at: int = 0  # of the one before it, 0 where there was none


class Wait(Action, frozen=True, kw_only=True):
    """Nothing before a time, or with 0 before something else has happened."""

    name: str
    until: int


def next_actions(wanted: Sequence[Wanted], seen: Seen, backoff: BackOff, now: int) -> list[Action]:
    """Return what is to be done, in order: pods that are not wanted any more first, garbage last."""
    uids = {each.uid for each in wanted}
    there = {each.pod_uid for each in seen.sandboxes} | {each.pod_uid for each in seen.containers}
    gone = sorted(there - uids)
    actions = [action for uid in gone for action in _stop(uid, seen, "its manifest is gone")]
    for each in wanted:
        actions += _sync(each, _of(seen, each.uid), backoff, now)
    return actions + list(garbage(uids, seen))


def garbage(uids: set[str], seen: Seen) -> Iterator[Action]:
    """Name what is to be forgotten: of each container the ended ones but the newest, and sandboxes that nobody needs.

    Source: pkg/kubelet/kuberuntime/kuberuntime_gc.go (evictContainers, evictSandboxes) with the limits that kubelets
    have by default.
    """
    removed = set()
    kept: set[tuple[str, str]] = set()
    for each in sorted(seen.containers, key=_age):
        if each.state == "running":
            continue
        name = (each.pod_uid, each.name)
        if each.pod_uid in uids and name not in kept:
            kept.add(name)
            continue
        removed.add(each.id)
        yield RemoveContainer(uid=each.pod_uid, id=each.id, why="a newer one has ended, or its pod is gone")
    latest = {}
    for sandbox in sorted(seen.sandboxes, key=lambda each: each.created_at):
        latest[sandbox.pod_uid] = sandbox.id
    for sandbox in seen.sandboxes:
        used = any(each.sandbox_id == sandbox.id and each.id not in removed for each in seen.containers)
        needed = sandbox.pod_uid in uids and latest[sandbox.pod_uid] == sandbox.id
        if not (sandbox.ready or used or needed):
            yield RemoveSandbox(uid=sandbox.pod_uid, id=sandbox.id, why="nothing is left in it")


def _of(seen: Seen, uid: str) -> Seen:
    """Return what belongs to a pod, newest first."""
    return type(seen)(
        tuple(sorted((each for each in seen.sandboxes if each.pod_uid == uid), key=_age)),
        tuple(sorted((each for each in seen.containers if each.pod_uid == uid), key=_age)),
    )


def _age(each: Sandbox | Container) -> tuple[int, str]:
    return -each.created_at, each.id


def _stop(uid: str, seen: Seen, why: str) -> Iterator[Action]:
    """Stop everything of a pod that still runs."""
    mine = _of(seen, uid)
    for each in mine.containers:
        if each.state in ("running", "unknown"):
            yield StopContainer(uid=uid, id=each.id, name=each.name, grace=30, why=why)
    for sandbox in mine.sandboxes:
        if sandbox.ready:
            yield StopSandbox(uid=uid, id=sandbox.id, why=why)


def _sync(pod: Wanted, seen: Seen, backoff: BackOff, now: int) -> list[Action]:
    if now < backoff.resumes(pod.uid):
        return [Wait(uid=pod.uid, name="", until=backoff.resumes(pod.uid), why="the last attempt failed")]
    why, attempt = _sandbox_changed(pod, seen)
    if why:
        return _anew(pod, seen, why, attempt, backoff, now)
    sandbox = seen.sandboxes[0]
    latest = _latest(each for each in seen.containers if each.sandbox_id == sandbox.id)
    actions, done = _init(pod, latest, sandbox.id, backoff, now)
    everything = _latest(seen.containers)
    if not done:
        return [_numbered(action, everything) for action in actions]
    regular = [each for each in pod.containers if each.kind == "container"]
    more = [action for each in regular for action in _container(pod, each, latest, sandbox.id, backoff, now)]
    if not more and not any(each.name in latest and latest[each.name].state == "running" for each in regular):
        # Everything has ended and nothing starts again: the pod is over.
        return list(_stop(pod.uid, seen, "every container has ended, and none is restarted"))
    return [_numbered(action, everything) for action in actions + more]


def _numbered(action: Action, everything: dict[str, Container]) -> Action:
    """Count restarts over all sandboxes of the pod: the name of a container has the number, and no two may have one.

    Source: pkg/kubelet/kuberuntime/kuberuntime_container.go (startContainer) at v1.18.6 and v1.36.3.
    """
    if isinstance(action, StartContainer) and action.name in everything:
        return msgspec.structs.replace(action, restarts=everything[action.name].restarts + 1)
    return action


def _sandbox_changed(pod: Wanted, seen: Seen) -> tuple[str, int]:
    """Return why a pod needs another sandbox, and the number of the attempt; "" where it does not."""
    if not seen.sandboxes:
        return "there is no sandbox", 0
    newest = seen.sandboxes[0]
    following = newest.attempt + 1
    if sum(each.ready for each in seen.sandboxes) > 1:
        return "more than one sandbox is ready", following
    if not newest.ready:
        return "the sandbox is not ready", following
    if newest.host_network != pod.host_network:
        return "the pod's network is another one now", following
    if not newest.host_network and not newest.has_ip:
        return "the sandbox has no address", following
    return "", newest.attempt


def _anew(pod: Wanted, seen: Seen, why: str, attempt: int, backoff: BackOff, now: int) -> list[Action]:
    """Start from a new sandbox: whatever runs is stopped, and init containers run again."""
    everything = _latest(seen.containers)
    if pod.restart_policy == "Never" and attempt and everything:
        return list(_stop(pod.uid, seen, "the pod is over, and never restarted"))
    regular = [each for each in pod.containers if each.kind == "container"]
    initial = [each for each in pod.containers if each.kind != "container"]
    starting = [each for each in regular if not _succeeded(pod, everything.get(each.name))]
    if not starting:
        return list(_stop(pod.uid, seen, "every container has succeeded"))
    actions: list[Action] = list(_stop(pod.uid, seen, why))
    actions += (
        RemoveContainer(uid=pod.uid, id=each.id, why="init containers run again")
        for each in seen.containers
        if each.name in {one.name for one in initial} and each.state != "running"
    )
    actions.append(RunSandbox(uid=pod.uid, attempt=attempt, why=why))
    for each in initial[:1] or starting:
        actions.append(_start(pod, each, everything.get(each.name), "", why, backoff, now))
    return actions


def _succeeded(pod: Wanted, status: Container | None) -> bool:
    return pod.restart_policy == "OnFailure" and status is not None and _ended_well(status)


def _ended_well(status: Container) -> bool:
    return status.state == "exited" and status.exit_code == 0


def _init(
    pod: Wanted, latest: dict[str, Container], sandbox: str, backoff: BackOff, now: int
) -> tuple[list[Action], bool]:
    """Return what is to be done before the regular containers, and whether these have their turn."""
    initial = [each for each in pod.containers if each.kind != "container"]
    regular = [each.name for each in pod.containers if each.kind == "container"]
    begun = any(name in latest and latest[name].state in ("running", "exited") for name in regular)
    actions: list[Action] = []
    for each in initial:
        status = latest.get(each.name)
        running = status is not None and status.state == "running"
        if each.kind == "sidecar":
            if not running:
                actions.append(_start(pod, each, status, sandbox, _again(status), backoff, now))
                if not begun:
                    return actions, False
        elif begun or (status is not None and _ended_well(status)):
            continue
        elif running:
            actions.append(Wait(uid=pod.uid, name=each.name, until=0, why="it runs, and the next starts when it ends"))
            return actions, False
        elif status is not None and status.state == "exited" and pod.restart_policy == "Never":
            return list(_end(pod, latest, sandbox)), False
        else:
            return [*actions, _start(pod, each, status, sandbox, _again(status), backoff, now)], False
    return actions, True


def _end(pod: Wanted, latest: dict[str, Container], sandbox: str) -> Iterator[Action]:
    why = "an init container has failed, and is never restarted"
    for each in latest.values():
        if each.state == "running":
            yield StopContainer(uid=pod.uid, id=each.id, name=each.name, grace=pod.grace, why=why)
    yield StopSandbox(uid=pod.uid, id=sandbox, why=why)


def _container(
    pod: Wanted, each: WantedContainer, latest: dict[str, Container], sandbox: str, backoff: BackOff, now: int
) -> Iterator[Action]:
    status = latest.get(each.name)
    if status is not None and status.state == "running":
        if status.hash and status.hash != each.hash:
            why = f"Container {each.name} definition changed, will be restarted"
            yield StopContainer(uid=pod.uid, id=status.id, name=each.name, grace=pod.grace, why=why)
            yield _start(pod, each, status, sandbox, why, backoff, now)
        return
    if status is not None and status.state == "exited":
        if pod.restart_policy == "Never" or _succeeded(pod, status):
            return
    elif status is not None and status.state == "unknown":
        yield StopContainer(uid=pod.uid, id=status.id, name=each.name, grace=pod.grace, why="its state is unknown")
    yield _start(pod, each, status, sandbox, _again(status), backoff, now)


def _start(
    pod: Wanted,
    each: WantedContainer,
    status: Container | None,
    sandbox: str,
    why: str,
    backoff: BackOff,
    now: int,
) -> Action:
    """Start a container, or wait for that where it has crashed a short time ago."""
    finished_at = status.finished_at if status is not None and status.state == "exited" else 0
    until = backoff.until(key(pod.uid, each.name, each.hash), finished_at, now) if finished_at else now
    if until > now:
        return Wait(uid=pod.uid, name=each.name, until=until, why="CrashLoopBackOff")
    restarts = status.restarts + 1 if status is not None else 0
    return StartContainer(
        uid=pod.uid,
        name=each.name,
        restarts=restarts,
        hash=each.hash,
        sandbox_id=sandbox,
        finished_at=finished_at,
        why=why,
    )


def key(uid: str, name: str, digest: str) -> str:
    """Return what a back-off is kept by: a changed container begins again."""
    return f"{uid}/{name}/{digest}"


def _again(status: Container | None) -> str:
    if status is None:
        return "it is not there"
    return f"it has ended with {status.exit_code}" if status.state == "exited" else f"it is {status.state}"


def _latest(containers: Iterator[Container] | Sequence[Container]) -> dict[str, Container]:
    """Return the newest container of each name."""
    found: dict[str, Container] = {}
    for each in sorted(containers, key=_age):
        found.setdefault(each.name, each)
    return found
