"""The shortest sequence of steps after which something holds no more that should: `crishim skew search`.

`search` walks (`exploring`) over the states of a node (`standing`) and asks the `properties`; what is found becomes an
experiment of its own (`counterexample`), and `report` prints it.
"""
