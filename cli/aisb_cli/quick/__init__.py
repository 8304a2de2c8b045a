"""A first look at a service's performance: find it, measure a few loads, and describe the result."""
