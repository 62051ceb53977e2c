"""What kind of work a text asks for: rules, learned weights, an optional embedder, split into steps."""
