"""Network throughput."""
