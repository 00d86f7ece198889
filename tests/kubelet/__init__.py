"""The kubelet: what a release sends for a pod, and when it refuses to start."""
