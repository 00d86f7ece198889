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
    "would-be-refused": Rule(
        "The pod would be refused before any container is made.",
        "Change the manifest so that the new API server or kubelet takes it.",
    ),
    "less-confined": Rule(
        "A container may do something that it could not do before.",
        "See which calls are allowed now. A profile of your own (Localhost) keeps them out until the default profile"
        " does again.",
    ),
    "more-confined": Rule(
        "A container may no longer do something that it could do before.",
        "Find out whether the program needs the calls, with a profile whose action is SCMP_ACT_LOG; allow them in a"
        " profile of your own (Localhost) where it does.",
    ),
    "changes-at-restart": Rule(
        "A running container keeps its filter, and gets another one when it is made again.",
        "Restart it when it suits you, and watch it, instead of being surprised by the next restart.",
    ),
    "unconfined": Rule(
        "A container runs without any filter.",
        "Ask for RuntimeDefault in the pod's securityContext, or turn on the kubelet's seccompDefault.",
    ),
    "silently-lost": Rule(
        "Something that the author of a file or of a pod meant has no effect, and nobody says so.",
        "Write it in the way in which this release reads it; the steps of the decision name the place.",
    ),
    "expectation-failed": Rule(
        "An expectation of an experiment does not hold.",
        "Read the steps of the decision before and after: either the expectation is wrong, or the change is not safe.",
    ),
}


def rule_of(name: str) -> Rule:
    """Return what is known about a kind of finding; its name in words where nothing is."""
    words = name.replace("-", " ").strip() or "finding"
    said = words[:1].upper() + words[1:] + "."
    return RULES.get(name) or Rule(said, "The message says what was found, and where.")
