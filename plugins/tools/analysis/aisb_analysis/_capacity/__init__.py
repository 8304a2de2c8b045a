"""How much a service can take: the search for its capacity, on anything that measures a load."""
