"""``coreto doctor``: facts are gathered, then a pure function says what is wrong and how to mend it."""
