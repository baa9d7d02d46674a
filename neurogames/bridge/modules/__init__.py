"""What every room of the bridge needs of torch modules.

evaluation       copies that may be used freely; evaluation mode and unfused attention for a while
hooks            a module by its name, where it runs, its values, acting on them
graph            the operations of a model as torch.fx sees them, and which of them leave units apart
units            what a unit is: kinds of layers, which layers give the output, the axis on which units stand
data             the one check of inputs and targets, and a trial of model and loss
mean_loss        weighted means as means over rows
adapted_model    a model as people have it, as one that takes one tensor and gives one
stacked_modules  many modules of one architecture as one
"""
