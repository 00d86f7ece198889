"""What container runtimes make of a CRI request: pure behaviour models of containerd and CRI-O.

Same arguments, same answer: nothing in here reads a clock, the environment, the network or any file but the
packaged data beside it. Whoever calls hands in what a decision needs, files included (`runtimes.files.Files`).

    Release, Span        which release, and since/until which release on each branch
    SandboxRequest, ContainerRequest, SecurityProfile
                         what reaches a runtime, spelled as the CRI spells it, without protobuf
    Decision, Step       the OCI runtime spec a release makes of it, and every rule that had a say
    Refused              what the release refuses, with its gRPC code and its own words
    RuntimeModel         what a family of releases offers; found by name through the entry-point group
"""
