"""What a testbed is made of, and where it comes from: pinned, verified, kept by digest."""
