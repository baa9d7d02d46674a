"""Who hears the gradient, and with what noise.

gradient_dropout  feedback that reaches each unit only with some probability, as a layer
attached          the same attached to a model that knows nothing of it
target_noise      random disturbances of regression labels
"""
