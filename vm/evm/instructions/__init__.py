"""The instructions, a family a file. Each handler takes (frame, stack, argument).

Before a handler runs, the static price is paid and the stack is known to hold what it pops and to
have room for what it pushes. `argument` is what decoding fixed: the constant of a PUSH, the n of
DUP, SWAP and LOG, the offset of PC. Docstrings give the stack effect as "popped, top first ->
pushed"; words are unsigned below 2^256 unless they say otherwise.
"""
