"""One provider made of all of them."""
