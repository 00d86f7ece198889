"""Comparing nodes, a room a verb: `diff`, `matrix`, `plan`; `experiments` over time (`crishim skew run`), and `search`
for surprises in them (`crishim skew search`).

What they share lies here, and knows none of them:

    posture     what a container has, in the words in which people ask for it
    compare     what it gains and loses when one section takes the place of another
    calls       system calls as people write them: socket(AF_ALG)
    constants   names of the numbers in that: AF_ALG, CLONE_NEWUSER
    sources     where it is written down why
    pairing     whether a kubelet finds a runtime that it can talk to
    files       which files a person names with -f
    work        work that is spread over processes
"""
