"""The reference, made from the code each time the documentation is built.

Every file here makes the Markdown of one page and knows nothing of Sphinx, so that the tests can
ask it, too. Only `pages` is an extension of Sphinx.
"""
