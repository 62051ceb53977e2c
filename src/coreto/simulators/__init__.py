"""Faithful fakes of model servers, as real servers in processes of their own, with fault injection.

Standalone: nothing here imports the rest of Coreto, so that a test of Coreto is never a test against itself.

- ``python -m coreto.simulators ollama|openai|llamacpp [options]`` starts one; `command.run(argv)` is the same from code.
- `faults` says what can go wrong and how to ask for it; `control` what ``/_sim/`` answers.
- `ollama` imitates the native API, the scheduler with its memory, the cloud host and the thin ``/v1``.
- `openai` imitates ``/v1/chat/completions`` as OpenAI, OpenRouter, llama.cpp or vLLM speak it.
- `llamacpp` imitates llama.cpp's router: models that are loaded, sleep and are unloaded, in processes of their own.
"""
