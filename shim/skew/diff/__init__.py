"""What differs between two releases (`releases.diff`) or two nodes (`nodes.diff_nodes`): `crishim diff`."""
