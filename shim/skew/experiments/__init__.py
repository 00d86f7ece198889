"""Nodes over time: `crishim skew run`.

`experiment` holds the values; `file` reads them, with `steps` and `actions`, and `text` writes them. `play`
takes a `site` from step to step, an `observer` says what is there (`moment`), `judge` whether that was expected,
`story` what happened, and `report` prints it.
"""
