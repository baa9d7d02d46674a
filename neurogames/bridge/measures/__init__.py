"""What is measured on trained networks.

robustness   how predictions worsen as noise is added to the inputs
composition  how many units of a network compose, where the primitives of its task are known
ablation     the same where they are not, by the effects of ablating units
"""
