"""Running the jobs of a sweep: in processes on this machine, or on a cluster."""
