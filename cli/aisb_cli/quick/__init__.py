"""A first look at how a service performs: find it, measure a few loads, and say in words what was seen."""
