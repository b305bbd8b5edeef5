"""`teamhub doctor`: every check of a deployment, one file for each group of them.

`check` says what a check is and runs them; the others hold them. `settings` is used by
`teamhub config check` as well.
"""
