"""The kinds of findings: what each one means, and what a person can do about it."""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """`says` is what a finding of this kind means, `help` what to do about it."""

    says: str
    help: str


RULES: dict[str, Rule] = {
    "would-fail-to-start": Rule(
        "A container that runs now would not be made.",
        "Give the node what the runtime asks for, such as the file of a Localhost profile, or change what the pod asks"
        " for, before the node is changed or the pod is restarted.",
    ),
    "does-not-start": Rule(
        "A container does not start.",
        "Read the runtime's own message: it names what is missing or refused. The step before it says what led there.",
    ),
    "fails-before": Rule(
        "A container does not start as the node is now, either.",
        "It is no consequence of the change; repair it first, so that the comparison says something about it.",
    ),
    "less-confined": Rule(
        "A container may do something that it could not do before.",
        "See which calls are allowed now. A profile of your own (Localhost) keeps them out until the default profile"
        " does again.",
    ),
    "loses-mitigation": Rule(
        "Calls that a release refuses because of a known weakness are allowed again.",
        "Stay on a release that refuses them, or refuse them in a profile of your own (Localhost).",
    ),
    "more-confined": Rule(
        "A container may no longer do something that it could do before.",
        "Find out whether the program needs the calls, with a profile whose action is SCMP_ACT_LOG; allow them in a"
        " profile of your own (Localhost) where it does.",
    ),
    "confined-otherwise": Rule(
        "A container may do some things that it could not do before, and others no longer, or it is refused otherwise.",
        "Read the lines of the change: what begins with + is as with less-confined, what begins with - as with"
        " more-confined.",
    ),
    "fails-otherwise": Rule(
        "A call is denied with another error than before.",
        "Try the programs that make it: many take ENOSYS for a reason to do without, and EPERM for a failure.",
    ),
    "changes-now": Rule(
        "A container is restarted by the change, and has another filter afterwards.",
        "Make the change when a restart suits you, or drain the node before.",
    ),
    "changes-at-restart": Rule(
        "A running container keeps its filter, and gets another one when it is made again.",
        "Restart it when it suits you, and watch it, instead of being surprised by the next restart.",
    ),
    "kubelet-does-not-start": Rule(
        "The kubelet does not start with this release or configuration.",
        "Leave the pair out, or repair the configuration; the message is the kubelet's own.",
    ),
    "runtime-does-not-start": Rule(
        "The runtime does not start with this release or configuration.",
        "Leave the pair out, or repair the configuration; the message is the runtime's own.",
    ),
    "no-common-cri": Rule(
        "The kubelet and the runtime have no version of the CRI in common: no pod starts.",
        "Upgrade the older of the two first.",
    ),
    "node-does-not-run": Rule(
        "The kubelet or the runtime of a node would not start.",
        "Repair its configuration for the new release; the message is the component's own.",
    ),
    "kubelet-down": Rule(
        "The kubelet of a node does not run.", "Repair its configuration; the message is the kubelet's own."
    ),
    "runtime-down": Rule(
        "The runtime of a node does not run.", "Repair its configuration; the message is the runtime's own."
    ),
    "node-not-named": Rule(
        "Pods run on nodes that the inventory does not name: nothing is said about them.",
        "Add the nodes to the inventory.",
    ),
    "node-says": Rule(
        "A runtime says something about a step, such as what it removed or could not reload.",
        "Nothing, if that is what the step was for.",
    ),
    "expectation-failed": Rule(
        "An expectation of an experiment does not hold.",
        "Read the steps of the decision before and after: either the expectation is wrong, or the change is not safe.",
    ),
}


def rule_of(name: str) -> Rule:
    """Return what is known about a kind of finding: what its name says where nothing is.

    A name such as CreateContainerError is the reason of a refusal.
    """
    if name in RULES:
        return RULES[name]
    if name[:1].isupper() and name.isalnum():
        return Rule(f"A pod or container is refused: {name}.", "Read the message, which is the component's own.")
    words = name.replace("-", " ").strip() or "finding"
    return Rule(words[:1].upper() + words[1:] + ".", "The message says what was found, and where.")


def title_of(name: str) -> str:
    """Return the name of a kind as one word: "LessConfined"."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("-"))
