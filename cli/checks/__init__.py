"""What ``doctor`` looks at, one module for each place: this machine, the stores, Truto and the way from there."""
