"""Measurements that README quotes: `make bench` runs them and writes benchmarks/results.json."""
