# The optimum of lme4's own criterion, to about the last digit the criterion carries.
#
# lme4's optimisers stop on a tolerance in the parameters or in the criterion, which leaves variance components some 1e-5 off.
# Here the best of several runs is polished by Newton steps on lme4's `devfun` (theta -> profiled deviance or REML criterion);
# gradient and Hessian come from Richardson extrapolation (numDeriv). Parameters on the boundary are held at exactly 0.

suppressPackageStartupMessages({library(lme4); library(numDeriv); library(minqa); library(nloptr)})

descend <- function(devfun, start, lower, optimiser) {
  best <- switch(optimiser,
    bobyqa = minqa::bobyqa(start, devfun, lower = lower, control = list(rhobeg = 0.2, rhoend = 1e-9, maxfun = 20000)),
    nlopt = {
      r <- nloptr::nloptr(start, devfun, lb = lower, opts = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-13,
                          ftol_abs = 1e-13, ftol_rel = 1e-15, maxeval = 20000))
      list(par = r$solution, fval = r$objective)
    },
    nelder = {
      r <- lme4::Nelder_Mead(devfun, start, lower = lower, control = list(maxfun = 20000, FtolAbs = 1e-12, FtolRel = 1e-15, XtolRel = 1e-12))
      list(par = r$par, fval = r$fval)
    })
  list(par = as.numeric(best$par), fval = as.numeric(best$fval))
}

# Newton with eigenvalues floored and halving, over the parameters in `free`.
polish <- function(devfun, theta, free, rounds = 8) {
  restricted <- function(x) { th <- theta; th[free] <- x; devfun(th) }
  fval <- restricted(theta[free]); decrease <- NA
  if (!any(free)) return(list(par = theta, fval = fval, decrease = 0, grad = 0))
  for (round in seq_len(rounds)) {
    g <- numDeriv::grad(restricted, theta[free], method.args = list(d = 0.01, eps = 1e-3))
    H <- numDeriv::hessian(restricted, theta[free], method.args = list(d = 0.05, eps = 1e-3))
    e <- eigen((H + t(H)) / 2, symmetric = TRUE)
    lam <- pmax(abs(e$values), 1e-9 * max(abs(e$values)))
    step <- -drop(e$vectors %*% (crossprod(e$vectors, g) / lam))
    decrease <- -sum(g * step) / 2
    moved <- FALSE
    for (halving in 0:12) {
      trial <- theta[free] + step / 2^halving
      ftrial <- restricted(trial)
      if (is.finite(ftrial) && ftrial <= fval + 1e-13 * abs(fval)) {
        theta[free] <- trial; fval <- ftrial; moved <- TRUE
        break
      }
    }
    if (!moved || decrease < 1e-13 * max(1, abs(fval))) break
  }
  list(par = theta, fval = devfun(theta), decrease = decrease, grad = max(abs(g)))
}

# `starts`: list of theta; `optimisers`: which of bobyqa, nlopt, nelder. Returns the best, polished, and what each reached.
tighten <- function(devfun, lower, starts, optimisers) {
  runs <- list(); best <- NULL
  for (s in seq_along(starts)) for (o in optimisers) {
    r <- tryCatch(descend(devfun, pmax(starts[[s]], lower), lower, o), error = function(e) NULL)
    if (is.null(r)) next
    runs[[paste0(o, s)]] <- r$fval
    if (is.null(best) || r$fval < best$fval) best <- r
  }
  diagonal <- is.finite(lower)
  p <- polish(devfun, best$par, rep(TRUE, length(lower)))
  if (p$fval <= best$fval + 1e-9 + 1e-12 * abs(best$fval)) best <- p
  best$par[diagonal] <- abs(best$par[diagonal])
  # a variance that only crawled towards its bound: is exactly 0 as good?
  small <- which(diagonal & best$par < 0.02)
  for (j in small) {
    held <- best$par; held[j] <- 0
    free <- held != 0 | !diagonal
    q <- polish(devfun, held, free)
    if (q$fval <= best$fval + 1e-8 + 1e-12 * abs(best$fval)) best <- q
  }
  best$runs <- runs
  best
}
