"""Controls: methods without training, whose scores are known or need no learning."""
