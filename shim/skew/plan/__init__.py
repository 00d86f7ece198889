"""What an upgrade does to the pods of a cluster: `crishim plan`.

`inventory` reads which nodes become what, `tally` counts pods by what decides about them (`cases`), `effect` says what
becomes of each case between two `side`s, `plan` puts it together, `outcome` and `order` sum it up, and `report` prints
it.
"""
