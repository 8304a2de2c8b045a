"""How right a model is: answers found, graded, summed up, audited, compared."""
