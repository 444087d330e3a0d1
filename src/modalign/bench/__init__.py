"""Benchmarks: methods x settings x seeds, with equal tuning, statistics, and tables."""
