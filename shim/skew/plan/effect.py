"""What an upgrade does to one container: what it has before and after, when that counts, and why.

    breaks    it would not start on the new node, neither now nor after any later restart
    now       the upgrade itself restarts it
    next      it goes on as it is, and has something else when it is started again
    same      it has the same before and after, and nothing restarts it

Whether the upgrade restarts a container is for the kubelet to say: the new one is shown the pod as the old one left it,
and what it does then (`shim.kubelet.sync`) is the answer. A restart of the runtime leaves containers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from runtimes.decision import Step
from runtimes.files import NO_SUCH_FILE
from runtimes.verdict import filter_of
from shim.answer import Error
from shim.kubelet import sync
from shim.kubelet.backoff import BackOff
from shim.kubelet.lookup import at
from shim.kubelet.observed import Container, Sandbox, Seen, Wanted, wanted
from shim.skew.calls import Call, call
from shim.skew.compare import compare, less_confined, lines, more_confined
from shim.skew.posture import Posture, refused
from shim.skew.sources import reasons

if TYPE_CHECKING:
    from shim.node import Node
    from shim.skew.plan.cases import Case
    from shim.skew.plan.side import Had, Side

Verdict = Literal["breaks", "now", "next", "same"]
VERDICTS: tuple[Verdict, ...] = ("breaks", "now", "next", "same")  # the worst first

_CREATED, _NOW = 1, 2
_LIVE = ("arch", "kernel", "seccomp", "cgroup")  # of a host, what only changes while nothing runs


class Mitigation(msgspec.Struct, frozen=True):
    """A call that people count on a default profile to deny, by the name they know it by."""

    name: str
    call: Call
    source: str


MITIGATIONS = (
    Mitigation("socket(AF_ALG)", call("socket(AF_ALG)"), "CVE-2026-31431; containerd#13327"),
    Mitigation("socket(AF_VSOCK)", call("socket(AF_VSOCK)"), "moby#44562; containerd#7442"),
    Mitigation("io_uring", call("io_uring_setup"), "containerd#9320"),
    Mitigation("unshare(CLONE_NEWUSER)", call("unshare(CLONE_NEWUSER)"), "cri-o#5788"),
)


class Effect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What becomes of a container. All containers to which the same happens share one.

    `before` and `after` are titles of postures, `digest` is the new section's, `changes` are the lines of
    `shim.skew.compare`, `lost` and `won` the names of mitigations. `over` says that the container has done its work and
    does not run; `restarted` is why the upgrade itself restarts it, None where it does not; `comes_back` whether the
    way back would do so, too. `missing` is the file that would have to be there. `facts` are what lies between the
    releases, `steps` and `steps_before` those rules that only one of the two decisions went by.
    """

    verdict: Verdict
    before: str
    after: str
    digest: str = ""
    changes: tuple[str, ...] = ()
    less: bool = False
    more: bool = False
    lost: tuple[str, ...] = ()
    won: tuple[str, ...] = ()
    over: bool = False
    restarted: Step | None = None
    comes_back: bool = False
    error: Error | None = None
    refused_before: bool = False
    missing: str = ""
    facts: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    steps_before: tuple[Step, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether what the container has is another thing after the upgrade."""
        return bool(self.changes) or self.error is not None or self.refused_before


def effects(before: Side, after: Side, case: Case, handler: str) -> dict[str, Effect]:
    """Return what an upgrade does to each container of a case, by name."""
    old, new = before.had(case, handler), after.had(case, handler)
    there, back = restarts(before, after, case, handler), restarts(after, before, case, handler)
    found = {}
    for name in [*old, *(name for name in new if name not in old)]:
        was, now = old.get(name), new.get(name)
        if was is None and after.refusal is None:
            continue  # only the new release knows this kind of container, so the cluster has none yet
        if was is not None and was.kind == "ephemeral":
            found[name] = _effect(was, was, before, None, comes_back=False)  # never started again, nor in a new pod
            continue
        effect = _effect(was, now, after, there.get(name), comes_back=name in back)
        over = case.ended or (was is not None and was.kind == "init")
        found[name] = msgspec.structs.replace(effect, over=True) if over else effect
    return found


def restarts(before: Side, after: Side, case: Case, handler: str) -> dict[str, Step]:
    """Return the containers that the upgrade itself restarts, and why."""
    old, new = before.node, after.node
    if case.ended or old is None or new is None or after.refusal is not None:
        return {}
    pod = case.pod()
    was, target = wanted(old.kubelet, pod), wanted(new.kubelet, pod)
    rebooted = any(getattr(old.host, each) != getattr(new.host, each) for each in _LIVE)
    kept = before.family(handler) == after.family(handler)
    seen = _seen(was, rebooted=rebooted) if kept else Seen()
    actions = sync.next_actions([target], seen, BackOff.of(new.kubelet.release, new.kubelet.settings.gates), _NOW)
    if any(isinstance(each, sync.RunSandbox) for each in actions):
        return dict.fromkeys([each.name for each in target.containers], _anew(new, kept=kept, rebooted=rebooted))
    because = "the new kubelet makes a container's hash in another way, and takes what runs for something changed"
    changed = at(new.kubelet.release).step("container-hash-of-name-and-image", because)
    return {each.name: changed for each in actions if isinstance(each, sync.StartContainer)}


def _seen(was: Wanted, *, rebooted: bool) -> Seen:
    """Return what a kubelet finds of a pod that runs, its init containers done."""
    sandbox = Sandbox(
        id="sandbox", pod_uid=was.uid, created_at=_CREATED, ready=not rebooted, host_network=was.host_network
    )
    containers = [
        Container(
            id=each.name,
            sandbox_id=sandbox.id,
            pod_uid=was.uid,
            name=each.name,
            state="exited" if rebooted or each.kind == "init" else "running",
            created_at=_CREATED,
            exit_code=137 if rebooted and each.kind != "init" else 0,
            hash=each.hash,
        )
        for each in was.containers
    ]
    return Seen((sandbox,), tuple(containers))


def _anew(new: Node, *, kept: bool, rebooted: bool) -> Step:
    """Say why a pod is made anew."""
    if not kept:
        return Step("runtime", "another-runtime", "the runtime is another one, which knows nothing of what runs")
    if rebooted:
        return Step("host", "reboot", "the host is another one, or is started again: nothing runs on")
    because = "the new kubelet makes a static pod's uid in another way, and takes what runs for another pod"
    return at(new.kubelet.release).step("static-pod-uid", because)


def _effect(was: Had | None, now: Had | None, after: Side, restarted: Step | None, *, comes_back: bool) -> Effect:
    old = was.posture if was else None
    new = now.posture if now else _nothing(after)
    refused_after, refused_before = new.kind == "refused", old is None or old.kind == "refused"
    compared = old is not None and not refused_before and not refused_after
    calls = compare(old.section, new.section) if old is not None and compared else ()
    gained, lost = _capabilities(old, new) if old is not None and compared else ((), ())
    verdict: Verdict = "same"
    if refused_after:
        verdict = "same" if refused_before else "breaks"
    elif restarted or refused_before:
        verdict = "now"
    elif calls or gained or lost:
        verdict = "next"
    steps = new.steps if verdict != "same" else ()
    steps_before = old.steps if old is not None and verdict != "same" else ()
    return Effect(
        verdict=verdict,
        before=old.title if old else "",
        after=new.title,
        digest=new.digest,
        changes=(*_lines(gained, lost), *lines(calls)),
        less=less_confined(calls) or bool(gained),
        more=more_confined(calls) or bool(lost),
        lost=_mitigations(old, new) if calls and old else (),
        won=_mitigations(new, old) if calls and old else (),
        restarted=None if refused_before else restarted,
        comes_back=comes_back,
        error=new.error,
        refused_before=refused_before,
        missing=now.file if now and new.error and NO_SUCH_FILE in new.error.message else "",
        facts=reasons(calls, old.build, new.build) if old else (),
        steps=_only(steps, steps_before),
        steps_before=_only(steps_before, steps),
    )


def _nothing(after: Side) -> Posture:
    """What a container has on a node that starts none, or whose kubelet leaves it out."""
    if after.refusal is not None:
        return refused(after.refusal)
    return Posture(kind="refused", of="left out", error=Error("kubelet", "", "", "its kubelet leaves it out"))


def _capabilities(old: Posture, new: Posture) -> tuple[tuple[str, ...], tuple[str, ...]]:
    before, after = set(old.capabilities), set(new.capabilities)
    return tuple(sorted(after - before)), tuple(sorted(before - after))


def _lines(gained: tuple[str, ...], lost: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        f"{sign} {', '.join(names)} in the bounding set" for sign, names in (("+", gained), ("-", lost)) if names
    )


def _mitigations(old: Posture, new: Posture) -> tuple[str, ...]:
    """Return those that a container had and has no more."""
    before, after = filter_of(old.section), filter_of(new.section)
    return tuple(
        each.name
        for each in MITIGATIONS
        if not before.of(each.call.syscall, each.call.args).allowed
        and after.of(each.call.syscall, each.call.args).allowed
    )


def _only(steps: tuple[Step, ...], others: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps that are not among the others, each once."""
    known = set(others)
    return tuple(dict.fromkeys(step for step in steps if step not in known))
