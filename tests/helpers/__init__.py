"""Shared by several test modules: deployments, clients, waiting, and steps of a chat."""
