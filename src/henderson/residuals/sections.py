"""at(env):term: the same structure in each section of the rows, with parameters and a variance of its own.

C is block-diagonal by section, s_k^2 C_k(t_k) with s = 1 in the first section; t has log s of the others, then t_1, t_2, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import Bound, CrossProducts, NotPositiveDefinite, Parameter, Structure
from .masked import WIDEST


class Sections(Structure):
    """One structure for each section."""

    has_variances = True
    separable = False

    def __init__(
        self,
        name: str,
        labels: Sequence[Any],
        rows: Sequence[np.ndarray],
        inner: Sequence[Structure],
        text: str,
    ):
        """rows : for each section its rows of the design; inner : its structure; name : of the column(s) of sections."""
        self.inner, self.text, self.name = tuple(inner), text, inner[0].name
        self.effects = [f"{name}{label}" for label in labels]
        self.followed = max(s.followed for s in self.inner)
        self.counts = [len(r) for r in rows]
        self._n_rows = sum(self.counts)
        self.order = np.concatenate(
            [r if s.order is None else r[s.order] for r, s in zip(rows, self.inner, strict=True)]
        )
        ends = np.cumsum([0, *self.counts])
        self.rows_of = [slice(int(ends[k]), int(ends[k + 1])) for k in range(len(self.inner))]
        self.n_sd = len(self.inner) - 1
        places = self.n_sd + np.cumsum([0, *(s.n_coordinates for s in self.inner)])
        self.t_of = [slice(int(places[k]), int(places[k + 1])) for k in range(len(self.inner))]
        self.shares = tuple(
            at.start + j for s, at in zip(self.inner, self.t_of, strict=True) for j in s.shares
        )
        free = np.full(self.n_sd, np.inf)
        self.lower = np.concatenate([-free, *(s.lower for s in self.inner)])
        self.upper = np.concatenate([free, *(s.upper for s in self.inner)])
        self.parameters = tuple(
            parameter
            for effect, structure in zip(self.effects, self.inner, strict=True)
            for parameter in self._of_section(effect, structure)
        )

    def _of_section(self, effect: str, structure: Structure) -> list[Parameter]:
        own = [] if structure.has_variances else [Parameter(effect, 2)]
        return own + [Parameter(f"{effect}:{p.name}", p.unit) for p in structure.parameters]

    def _log_sd(self, t: np.ndarray) -> np.ndarray:
        log_sd = np.append(0.0, t[: self.n_sd])
        if np.ptp(log_sd) > WIDEST:
            raise NotPositiveDefinite("standard deviations out of range")
        return log_sd

    # -- parameters --------------------------------------------------------------------------------------

    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        parts, sizes = [], []
        for structure, rows in zip(self.inner, self.rows_of, strict=True):
            size = float(np.sqrt(np.mean(residual[rows] ** 2))) or 1.0
            sizes.append(size)
            parts.append(structure.starts(residual[rows] / size))
        log_sd = np.log(np.array(sizes[1:]) / sizes[0])
        most = max(map(len, parts))
        return [np.concatenate([log_sd, *(p[min(i, len(p) - 1)] for p in parts)]) for i in range(most)]

    def natural(self, t: np.ndarray) -> np.ndarray:
        out = []
        for structure, at, log_sd in zip(self.inner, self.t_of, self._log_sd(t), strict=True):
            units = np.array([p.unit for p in structure.parameters])
            values = structure.natural(t[at]) * np.exp(units * log_sd)
            out.append(values if structure.has_variances else np.append(np.exp(2.0 * log_sd), values))
        return np.concatenate(out)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        log_sd, parts, at = [], [], 0
        for structure in self.inner:
            own = not structure.has_variances
            values = natural[at : at + own + len(structure.parameters)]
            at += len(values)
            # A structure with variances has that of its first position first, which is the section's scale.
            if not values[0] > 0:
                raise ModelError(f"{self.text}: variances are positive.")
            log_sd.append(0.5 * float(np.log(values[0])))
            parts.append(structure.coordinates(values[int(own) :]))
        return np.concatenate([np.array(log_sd[1:]) - log_sd[0], *parts])

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        out, offset = [], 0
        for effect, structure, at in zip(self.effects, self.inner, self.t_of, strict=True):
            offset += not structure.has_variances
            out += [(offset + j, f"in {effect}, {said}") for j, said in structure.edges(t[at])]
            offset += len(structure.parameters)
        return out

    def diagonal(self, t: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [
                np.exp(2.0 * log_sd) * structure.diagonal(t[at])
                for structure, at, log_sd in zip(self.inner, self.t_of, self._log_sd(t), strict=True)
            ]
        )

    # -- rows --------------------------------------------------------------------------------------------

    def whiten(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, float]:
        white, total = np.empty(m.shape), 0.0
        for k, log_sd in enumerate(self._log_sd(t)):
            rows = self.rows_of[k]
            part, log_det = self.inner[k].whiten(t[self.t_of[k]], m[rows])
            white[rows] = part * np.exp(-log_sd)
            total += log_det + 2.0 * self.counts[k] * log_sd
        return white, float(total)

    def cross_products(self, t: np.ndarray, m: np.ndarray, slopes: bool) -> CrossProducts:
        return self.bind(m).at(t, slopes)

    def bind(self, m: np.ndarray) -> Bound:
        return _Parts(self, m)


class _Parts(Bound):
    """The sections, each beside its rows."""

    def __init__(self, whole: Sections, m: np.ndarray):
        self.whole, self.k = whole, m.shape[1]
        self.parts = [
            s.bind(np.ascontiguousarray(m[r])) for s, r in zip(whole.inner, whole.rows_of, strict=True)
        ]

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        whole, k = self.whole, self.k
        products, total = np.zeros((k, k)), 0.0
        product_slopes, log_det_slopes = np.zeros((len(t), k, k)), np.zeros(len(t))
        for i, log_sd in enumerate(whole._log_sd(t)):
            found = self.parts[i].at(t[whole.t_of[i]], slopes)
            share = np.exp(-2.0 * log_sd)
            products += share * found.products
            total += found.log_det + 2.0 * whole.counts[i] * log_sd
            if not slopes:
                continue
            assert found.product_slopes is not None and found.log_det_slopes is not None
            product_slopes[whole.t_of[i]] = share * found.product_slopes
            log_det_slopes[whole.t_of[i]] = found.log_det_slopes
            if i:
                product_slopes[i - 1] = -2.0 * share * found.products
                log_det_slopes[i - 1] = 2.0 * whole.counts[i]
        if not slopes:
            return CrossProducts(products, float(total))
        return CrossProducts(products, float(total), product_slopes, log_det_slopes)
