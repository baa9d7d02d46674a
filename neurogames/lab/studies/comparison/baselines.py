"""The predictors that a network has to beat: a constant, and a linear model fitted on the training rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from neurogames.lab.data.preparation import Prepared

BASELINES = ("constant", "linear")


def baseline_models(data: Prepared) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """Return the constant predictor and the linear model of a table, in the order of ``BASELINES``.

    Args:
        data: standardised rows; the constant of a regression is their mean, 0.
    """
    if data.task == "regression":
        constant = torch.zeros(1)
        fitted = LinearRegression().fit(data.train_inputs, data.train_targets)
        weight, bias = fitted.coef_[:, None], fitted.intercept_
    else:
        counts = np.bincount(data.train_targets, minlength=len(data.class_names))
        constant = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
        logistic = LogisticRegression(max_iter=2000).fit(data.train_inputs, data.train_targets)
        weight, bias = logistic.coef_.T, logistic.intercept_
        if weight.shape[1] == 1:
            # Two classes share one column of weights; the first class has logit 0.
            weight, bias = np.hstack([np.zeros_like(weight), weight]), np.append(0.0, bias)
    slope = torch.from_numpy(np.asarray(weight, dtype=np.float32))
    offset = torch.from_numpy(np.atleast_1d(np.asarray(bias, dtype=np.float32)))
    return [
        lambda inputs: constant.expand(len(inputs), len(constant)),
        lambda inputs: inputs @ slope + offset,
    ]
