"""What stands at the head of the page: one sentence, and a number for each of the other questions."""

from __future__ import annotations

import pandas as pd

from neurogames.lab.studies.page import DrawnFigure, Finding


def answer(tuning: pd.DataFrame) -> str:
    """Say how the layer with the largest gain does beside the last layer and beside all."""
    beside = tuning[["gain", "gain_low", "gain_high"]].to_numpy(dtype=float)
    rows = tuning["policy"].tolist()
    to_last, to_all = (
        "{:+.1f} points ({:+.1f} to {:+.1f})".format(*beside[rows.index(policy)]) for policy in ("last", "all")
    )
    return (
        "After a shift of the data, fine-tuning the layer that could gain most alone differs from fine-tuning the last "
        f"layer by {to_last}, and from fine-tuning all layers by {to_all}, with 95 % intervals."
    )


def findings(
    freezing: pd.DataFrame, steps: pd.DataFrame, defence: pd.DataFrame, figures: dict[str, DrawnFigure]
) -> list[Finding]:
    """The questions beside the first, each with its figure."""
    frozen = freezing.set_index("rule").loc["held-out gain"]
    once = steps[steps["sweeps"] == steps["sweeps"].min()].set_index("prediction")
    error = once.loc["curvature along the gradient"]
    best = defence.set_index("policy").loc["best single network"]
    return [
        Finding(
            "Is a layer finished?",
            f"{frozen['points']:+.2f} points at {frozen['seconds']:.2f} of the seconds",
            "A layer is frozen when its gain on held-out rows is below its standard error. Its own search is in the "
            f"seconds, of which it takes {frozen['rule_share']:.0%}.",
            figures["freezing"],
        ),
        Finding(
            "How much larger a step do layers bear that move in turn?",
            f"error of the logarithm {error['error']:.2f}, of no difference {once.loc['ratio 1', 'error']:.2f}",
            "Predicted by g'Hg over the sum of its blocks, with g the gradient and H the Hessian. The rank correlation "
            f"with what is measured is {error['rank_correlation']:.2f}.",
            figures["steps"],
        ),
        Finding(
            "Is the optimal mixture of networks more robust?",
            f"{best['worst_difference']:+.1f} points to the best single network",
            "Accuracy on the worst of perturbations that the game has not seen, on other rows; 95 % interval "
            f"{best['worst_difference_low']:+.1f} to {best['worst_difference_high']:+.1f}.",
            figures["defence"],
        ),
    ]
