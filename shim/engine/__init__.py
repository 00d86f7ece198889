"""What exists on a node: sandboxes, containers and images, their life cycle and their store."""
