"""How numbers, texts and charts look to people."""
