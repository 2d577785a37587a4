"""The results of a sweep: ranking, reports, and the winner as an experiment."""
