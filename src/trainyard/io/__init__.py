"""Files, disks, downloads and signals."""
