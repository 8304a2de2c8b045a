"""The search for the capacity of a service, which can be real or simulated."""
