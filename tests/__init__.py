"""Tests of bifurcated: this file only makes `python3 -m tests.hub` work."""
