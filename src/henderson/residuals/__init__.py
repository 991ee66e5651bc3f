"""Covariance structures of the residuals, one family a file: `base` has the contract, `catalogue` who builds what."""
