"""What every other package may use: files, versions, CPUs, finite numbers."""
