"""DeNF: priors, boxes, losses, the model, decomposition into instances. Knows denf.flow."""
