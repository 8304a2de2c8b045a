"""Score predictions: find the answers, grade them, and aggregate the grades to metrics."""
