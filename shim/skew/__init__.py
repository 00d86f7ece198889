"""Comparing nodes: experiments over time, matrices, plans for a cluster, and what differs between two sections."""
