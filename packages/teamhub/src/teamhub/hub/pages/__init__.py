"""The hub's own pages, server-rendered; `addresses` says which there are.

`sign_in`, `sign_up` and `account` are for everybody; `signed_in` is what all pages of the
signed-in share: one page, one address, GET shows and POST does what its `action` says. `problems`
is what an error page says, `away` what is shown when something behind the proxy does not answer.
"""
