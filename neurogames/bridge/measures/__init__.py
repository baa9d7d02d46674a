"""What is measured on trained networks.

robustness   how predictions worsen as noise is added to the inputs
composition  how many units of a network compose, where the primitives of its task are known
held_out     loss, predictions, robustness and composition on held-out rows, to be followed through a training
ablation     the same where they are not, by the effects of ablating units
shortcut     which units pay where a planted shortcut is broken
held_out     all of these on held-out rows, for a prediction and for the training it predicts
"""
