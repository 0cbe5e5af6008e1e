"""The process: forks of it, what a forked child has until it connects, and its end."""
