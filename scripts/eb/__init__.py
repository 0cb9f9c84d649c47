"""Elastic Beanstalk: the bundle, and how it becomes the environment that clients meet."""
