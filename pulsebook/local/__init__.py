"""What only a laptop, the demo and the tests need: an embedded warehouse and sample data. Nothing outside imports it."""
