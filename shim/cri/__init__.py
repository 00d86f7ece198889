"""The gRPC edge: the CRI services and the admin service on one unix socket."""
