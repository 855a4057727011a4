"""Tables of documents, made from settings and released runs."""
