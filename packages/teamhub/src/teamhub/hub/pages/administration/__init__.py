"""The administration: one file a page, on what `page` has for all of them."""
