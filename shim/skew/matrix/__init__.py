"""Kubelets times runtimes times settings: `crishim matrix`.

`manifests`, `ranges` and `axes` read what is multiplied, `matrix` holds it, `lab` decides the cells, `folding` tells
those that come out alike together, and `report` and `lines` print them.
"""
