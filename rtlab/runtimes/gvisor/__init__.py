"""gVisor."""
