"""The dense twin: everything about a mixed model from V = Z Sigma Z' + s2 R, by the textbook, at n x n cost.

Symbols of Lynch & Walsh: V, P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1, BLUE, BLUP = Sigma Z'P y, PEV = Sigma - Sigma Z'P Z Sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np


@dataclass
class Twin:
    deviance: float
    beta: np.ndarray
    vcov: np.ndarray
    u: list[np.ndarray]
    pev: list[np.ndarray]
    conditional: list[np.ndarray]
    joint: np.ndarray
    """Var of (beta^, u^ - u), coefficients first, terms stacked level by level."""


def incidence(block) -> np.ndarray:
    n, q, m = len(block.codes), len(block.levels), len(block.effects)
    values = np.ones((n, 1)) if block.values is None else block.values
    z = np.zeros((n, q, m))
    z[np.arange(n), block.codes] = values
    return z.reshape(n, q * m)


def twin(design, covariances, s2, reml=True) -> Twin:
    """The model at the given absolute covariances (one m x m per term) and residual variance; X of full rank."""
    x, y = design.X, design.y - (0.0 if design.offset is None else design.offset)
    n, p = x.shape
    weights = np.ones(n) if design.weights is None else design.weights
    zs = [incidence(b) for b in design.blocks]
    gs = [np.kron(np.eye(len(b.levels)), s) for b, s in zip(design.blocks, covariances, strict=True)]
    v = np.diag(s2 / weights) + sum(z @ g @ z.T for z, g in zip(zs, gs, strict=True))
    vi = np.linalg.inv(v)
    xvx = x.T @ vi @ x
    vcov = np.linalg.inv(xvx) if p else np.zeros((0, 0))
    beta = vcov @ (x.T @ vi @ y)
    pm = vi - vi @ x @ vcov @ x.T @ vi
    deviance = np.linalg.slogdet(v)[1] + y @ pm @ y + (n - p if reml else n) * np.log(2 * np.pi)
    if reml:
        deviance += np.linalg.slogdet(xvx)[1] if p else 0.0
    z, g = np.hstack(zs), _block_diagonal(gs)
    u = g @ z.T @ pm @ y
    pev = g - g @ z.T @ pm @ z @ g
    conditional = g - g @ z.T @ vi @ z @ g
    cross = -vcov @ x.T @ vi @ z @ g
    joint = np.block([[vcov, cross], [cross.T, pev]])
    cut = np.cumsum([zk.shape[1] for zk in zs])[:-1]
    return Twin(
        float(deviance),
        beta,
        vcov,
        [uk.reshape(-1, len(b.effects)) for uk, b in zip(np.split(u, cut), design.blocks, strict=True)],
        _level_blocks(pev, design),
        _level_blocks(conditional, design),
        joint,
    )


def _block_diagonal(blocks):
    size = sum(len(b) for b in blocks)
    out = np.zeros((size, size))
    at = 0
    for b in blocks:
        out[at : at + len(b), at : at + len(b)] = b
        at += len(b)
    return out


def _level_blocks(full, design):
    out, at = [], 0
    for b in design.blocks:
        q, m = len(b.levels), len(b.effects)
        part = full[at : at + q * m, at : at + q * m].reshape(q, m, q, m)
        out.append(part[np.arange(q), :, np.arange(q), :])
        at += q * m
    return out


def random_design(seed, *, n=60, kind="crossed", m=1, p=2, weights=False, offset=False, structure="us"):
    """A small unbalanced model with all its levels present. kind: "single", "crossed", "nested", "shared", "three"."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, max(p - 1, 0)))])[:, :p]
    first = _codes(rng, n, 7)
    if kind == "nested":
        second = first * 3 + rng.integers(0, 3, n)
    else:
        second = _codes(rng, n, 5)
    slope = rng.normal(2.0, 1.0, size=(n, 3))
    blocks = [_block(first, m, slope, structure)]
    if kind in ("crossed", "nested", "three"):
        blocks.append(_block(second, 1 if kind != "three" else 2, slope, "us"))
    if kind == "shared":
        blocks.append(_block(first, 1, slope[:, 2:], "us", constant=False))
    if kind == "three":
        blocks.append(_block(_codes(rng, n, 4), 1, slope, "us"))
    y = rng.normal(size=n) + x.sum(axis=1) + sum(rng.normal(size=50)[b.codes] for b in blocks)
    return SimpleNamespace(
        y=y,
        X=np.asfortranarray(x),
        offset=rng.normal(size=n) if offset else None,
        weights=rng.uniform(0.3, 3.0, n) if weights else None,
        blocks=tuple(blocks),
    )


def _codes(rng, n, q):
    """Skewed group sizes, every level present."""
    codes = np.minimum((rng.exponential(1.0, n) * q / 3).astype(int), q - 1)
    codes[:q] = np.arange(q)
    return rng.permutation(codes)


def _block(codes, m, slope, structure, constant=True):
    levels, codes = np.unique(codes, return_inverse=True)
    values = None
    if m > 1 or not constant:
        columns = [np.ones(len(codes))] if constant else []
        values = np.ascontiguousarray(np.column_stack([*columns, slope])[:, :m])
    return SimpleNamespace(
        group="g",
        effects=tuple(f"e{i}" for i in range(m)),
        levels=levels,
        codes=codes.astype(np.int32),
        values=values,
        structure=structure,
        text="(...)",
    )
