"""containerd, from 1.2 on: which seccomp section it gives a container, and everything else that a client sees of it.

The rooms, from the one that others enter by:

    family.py           the family: releases, facts, starting one
    daemon.py           one daemon: requests -> decisions, refusals put into its words
    config.py           its configuration file: config_document.py joins it, config_effect.py tells what has no effect
    seccomp.py          which profile applies; default_profile.py composes the built-in one
    spec.py             the rest of the OCI runtime spec: container.py, sandbox.py, mounts.py, users.py, capabilities.py
    persona.py          Version, Status, names, refusals; info.py the verbose info
    known.py            what is known of one build; received.py what its CRI API does not see
    facts.yaml          what changed in which release · api.yaml the CRI API of each · settings.yaml the configuration
    profile.yaml        the built-in profile, every rule with the releases it holds for · releases.yaml every release
"""

from __future__ import annotations

from runtimes.containerd.family import model

__all__ = ["model"]
