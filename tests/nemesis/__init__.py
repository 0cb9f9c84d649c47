"""Anything at any time: a seeded plan of faults, clients that keep the rules, and a checker."""
