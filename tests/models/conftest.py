"""torchvision beside a build of torch that its wheel was not made for, and models that were not asked to speak."""

from __future__ import annotations

import os

import torch

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Importing torchvision registers shapes of operators that its compiled part declares. Where that part does not load
# (the CPU build of torch), these two have to be declared; its models use neither.
DECLARED = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):
    DECLARED.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
