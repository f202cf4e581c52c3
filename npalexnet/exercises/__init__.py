"""Exercises: stubs that a reader completes in a folder of their own, and the judge of what they wrote.

`folder` writes the stubs and remembers what has passed. `process` runs `child`, a process of its own with a time
limit, in which `reader` imports the reader's file, `calls` calls its functions, and `judge` compares what they give.
`checks/` has, for each exercise, the definition, the cases, and what the usual mistakes would give. The package's own
layers take no part.
"""
