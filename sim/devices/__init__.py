"""Device physics: programming, drift, read noise and faults."""
