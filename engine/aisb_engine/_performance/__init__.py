"""How fast a model is: what the stamps in a log say."""
