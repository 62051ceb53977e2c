"""What models may use: tools, and the sandbox in which the code that they write runs."""
