"""A kubelet of a release: what it sends to the runtime for a pod, and why.

kubelet.py     Kubelet: one kubelet, started; the room's door
config.py      flags, file and gates -> what is in effect, or the refusal to start
step.py        the defaulting step for a request that is already in the shape of the CRI
profile.py     fields, annotations and settings -> the profile that is asked for
manifest.py    a file -> pods (workload.py: what holds pods; yamlfile.py: YAML with lines; pod.py: the pod itself)
api.py         what the API server does to a pod first (validation.py: its rules; goprint.py: its way to print)
plan.py        a pod -> the requests for it (container.py, security.py, quantity.py, expansion.py: their parts)
releases.py    which releases exist; lookup.py, gates.py: what holds for one of them
facts.yaml     what changed in which release, and where that is written down; gates.yaml, releases.yaml beside it
"""
