"""DeNF: priors, boxes, losses, the model, decomposition into instances. Imports denf.flow."""
