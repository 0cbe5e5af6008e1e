"""An application on two hosts, at a cluster of three brokers: what is lost when parts of it die."""
