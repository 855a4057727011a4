"""Controls: methods without training. Their scores are known, or show what needs no learning."""
