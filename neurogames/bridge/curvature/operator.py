"""One interface for every curvature matrix: A @ v.

Whoever makes a curvature gives a ``CurvatureOperator``; whoever needs one (eigenvalues, linear systems) takes one. What
is written against ``A @ v`` works for an exact Hessian, a Gauss-Newton matrix and its approximations alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from neurogames._arguments import invalid_argument


@dataclass(frozen=True, eq=False)
class CurvatureOperator:
    """A symmetric matrix A (n, n) that is known by its products.

    Args:
        size: n.
        products: maps vectors (k, n) to A times each of them, (k, n), in the dtype and on the device named here. It
            must not write into what it is given.
        dtype: of the products.
        device: of the products.

    >>> matrix = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> operator = CurvatureOperator(2, lambda vectors: vectors @ matrix, matrix.dtype, matrix.device)
    >>> operator @ torch.tensor([1.0, -1.0]), operator.shape
    (tensor([ 1., -2.]), (2, 2))
    """

    size: int
    products: Callable[[Tensor], Tensor]
    dtype: torch.dtype
    device: torch.device

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (self.size, self.size)

    def __matmul__(self, vectors: Tensor) -> Tensor:
        """A v for one vector (n,), or A V for the columns of V (n, k).

        Raises:
            ValueError: the shape is another.
        """
        if not isinstance(vectors, Tensor) or vectors.ndim not in (1, 2) or len(vectors) != self.size:
            got = f"shape {tuple(vectors.shape)}" if isinstance(vectors, Tensor) else type(vectors).__name__
            raise invalid_argument("vectors", got, f"a tensor ({self.size},) or ({self.size}, k)")
        rows = vectors.to(self.device, self.dtype).reshape(self.size, -1).T
        return self.products(rows).T.reshape(vectors.shape)

    def block(self, members: slice) -> CurvatureOperator:
        """The block of neighbouring coordinates, such as those of one module.

        >>> matrix = torch.diag(torch.tensor([1.0, 2.0, 3.0]))
        >>> CurvatureOperator(3, lambda v: v @ matrix, matrix.dtype, matrix.device).block(slice(1, 3)).to_dense()
        tensor([[2., 0.],
                [0., 3.]])
        """

        def products(vectors: Tensor) -> Tensor:
            full = vectors.new_zeros(len(vectors), self.size)
            full[:, members] = vectors
            return self.products(full)[:, members]

        return CurvatureOperator(len(range(self.size)[members]), products, self.dtype, self.device)

    def to_dense(self) -> Tensor:
        """The matrix itself (n, n), by n products; row i is A e_i, so that it is symmetric to rounding only."""
        return self.products(torch.eye(self.size, dtype=self.dtype, device=self.device))

    def to_scipy(self) -> LinearOperator:
        """The same for SciPy, in 64 bits.

        >>> operator = CurvatureOperator(2, lambda vectors: 2 * vectors, torch.float64, torch.device("cpu"))
        >>> operator.to_scipy() @ np.ones(2)
        array([2., 2.])
        """

        def columns(vectors: NDArray[Any]) -> NDArray[np.float64]:
            return (self @ torch.tensor(vectors)).double().cpu().numpy()

        return LinearOperator(
            self.shape, matvec=columns, matmat=columns, rmatvec=columns, rmatmat=columns, dtype=np.dtype(np.float64)
        )
