"""Where an executed notebook lies and what is true about it."""
