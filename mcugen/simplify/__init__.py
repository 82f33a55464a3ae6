"""Graphs to smaller graphs with the same outputs."""
