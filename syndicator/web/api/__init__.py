"""The public JSON API, version 1: what is published, for programs. Read only, no key, any origin.

1. What may be shown is decided by the store's queries and `domain.visibility`, as on every page.
2. Answers are the pydantic models of `models`; the OpenAPI document is made from the same, so it cannot differ.
3. Lists are walked by cursor only, and every parameter is bounded: the cost of a question is known before it runs.
4. Within version 1 members may be added to answers, never taken away or given another meaning.
"""
