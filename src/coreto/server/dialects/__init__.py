"""Anthropic's Messages and OpenAI's Responses, in the part that they share with chat completions.

``anthropic`` and ``responses`` turn requests into chat requests, their ``_answers`` neighbours turn answers
and streams back; all four are pure. ``handler`` drives them.
"""
