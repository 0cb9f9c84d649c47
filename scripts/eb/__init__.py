"""Elastic Beanstalk: the source bundle and its blue/green deployment."""
