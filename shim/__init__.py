"""The node around the runtimes: its kubelet, what exists on it, and the doors through which it is asked."""
