"""Who hears the gradient, and with what noise.

gradient_dropout    feedback that reaches each unit only with some probability, as a layer
attached            the same attached to a model that knows nothing of it
law                 what it is on average in a chain: a learning rate for each layer
mean_feedback       its mean for any network, as a layer and attached
mean_feedback_adam  Adam with the second moment of masked gradients
fluctuation         what the masks add to the mean: stationary laws, the best next step
target_noise        random disturbances of regression labels
"""
