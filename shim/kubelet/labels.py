"""What a kubelet writes on the sandboxes and containers that it makes, and knows them by when it starts again.

Source: pkg/kubelet/kuberuntime/labels.go at v1.18.6 and v1.36.3.
"""

from __future__ import annotations

# Labels
POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

# Annotations of a container
CONTAINER_HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
