"""Pictures of the user's own: read, decomposed by a trained run, drawn and written."""
