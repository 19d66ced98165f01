"""containerd, by its interface for Kubernetes (CRI)."""
