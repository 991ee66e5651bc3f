# What is kept of one fitted lmer model: see README.md for the meaning of every field.

suppressPackageStartupMessages({library(lme4); library(lmerTest); library(jsonlite); library(Matrix)})

# R's name of a design column -> the name henderson gives it: MachineB -> Machine[T.B], subjcourse -> subj[course] when the
# factor is coded in full. `full`: the factors coded without a base level in this formula part.
our_name <- function(names, levels_of, full = character(), renames = list()) {
  piece <- function(p) {
    if (!is.null(renames[[p]])) return(renames[[p]])
    for (v in names(levels_of)) if (startsWith(p, v)) {
      lev <- substring(p, nchar(v) + 1)
      if (lev %in% levels_of[[v]]) return(if (v %in% full) sprintf("%s[%s]", v, lev) else sprintf("%s[T.%s]", v, lev))
    }
    p
  }
  vapply(names, function(n) if (!is.null(renames[[n]])) renames[[n]] else
    paste(vapply(strsplit(n, ":", fixed = TRUE)[[1]], piece, ""), collapse = ":"), "", USE.NAMES = FALSE)
}

lower_triangle <- function(V) lapply(seq_len(nrow(V)), function(i) V[i, seq_len(i)])

# Inverse of the mixed-model equations over sigma^2, dense: joint variance of (u^ - u, beta^), for small models.
joint_variance <- function(fit) {
  Z <- t(as.matrix(getME(fit, "Zt"))); L <- t(as.matrix(getME(fit, "Lambdat"))); X <- getME(fit, "X")
  w <- weights(fit); ZL <- Z %*% L; q <- ncol(Z)
  C <- crossprod(cbind(ZL, X) * sqrt(w)) + diag(c(rep(1, q), rep(0, ncol(X))))
  B <- as.matrix(bdiag(L, diag(ncol(X))))
  list(V = sigma(fit)^2 * B %*% chol2inv(chol(C)) %*% t(B), Z = Z, X = X, q = q)
}

random_effects <- function(fit, joint, levels_of, full, renames) {
  re <- ranef(fit, condVar = TRUE)
  Gp <- getME(fit, "Gp"); fac <- getME(fit, "flist"); asgn <- attr(fac, "assign"); cn <- getME(fit, "cnms")
  out <- list()
  for (k in seq_along(cn)) {                                   # one entry per random term, in lme4's order
    f <- names(fac)[asgn[k]]; lev <- levels(fac[[f]]); m <- length(cn[[k]])
    u <- matrix(getME(fit, "b")[(Gp[k] + 1):Gp[k + 1]], ncol = m, byrow = TRUE)
    cv <- attr(re[[f]], "postVar")
    cv <- if (is.list(cv)) cv[[which(which(asgn == asgn[k]) == k)]] else cv
    sd <- matrix(sqrt(pmax(apply(cv, 3, diag), 0)), ncol = m, byrow = TRUE)
    pev <- if (is.null(joint)) NULL else matrix(sqrt(pmax(diag(joint$V)[(Gp[k] + 1):Gp[k + 1]], 0)), ncol = m, byrow = TRUE)
    show <- if (length(lev) <= 40) seq_along(lev) else c(1:5, length(lev) - 4:0)
    out[[k]] <- list(group = f, n_levels = length(lev), effects = I(cn[[k]]), effects_ours = I(our_name(cn[[k]], levels_of, full, renames)),
      levels = I(lev[show]), blup = u[show, , drop = FALSE], conditional_sd = sd[show, , drop = FALSE])
    if (!is.null(pev)) out[[k]]$pev_sd <- pev[show, , drop = FALSE]
  }
  out
}

components <- function(fit, levels_of, full, renames) {
  fac <- names(getME(fit, "flist"))[attr(getME(fit, "flist"), "assign")]; vc <- VarCorr(fit); out <- list()
  for (k in seq_along(vc)) {
    S <- as.matrix(vc[[k]]); e <- our_name(rownames(S), levels_of, full, renames)
    for (i in seq_len(nrow(S))) for (j in seq_len(i))
      out[[length(out) + 1]] <- list(term = k, group = fac[k], effect1 = e[j], effect2 = e[i], vcov = S[i, j],
        sdcor = if (i == j) sqrt(S[i, i]) else S[i, j] / sqrt(S[i, i] * S[j, j]))
  }
  c(out, list(list(term = 0, group = "Residual", effect1 = "", effect2 = "", vcov = sigma(fit)^2, sdcor = sigma(fit))))
}

record <- function(fit, devfun_again, case, levels_of) {
  full <- case$full; ren <- case$renames; small <- length(getME(fit, "b")) <= 400
  joint <- if (small) joint_variance(fit) else NULL
  b <- fixef(fit); V <- as.matrix(vcov(fit)); ll <- logLik(fit)
  out <- list(reml = isREML(fit), criterion = -2 * as.numeric(ll), loglik = as.numeric(ll), aic = AIC(fit), bic = BIC(fit),
    npar = attr(ll, "df"), nobs = nobs(fit), sigma = sigma(fit), theta = I(unname(getME(fit, "theta"))),
    fixed = list(name = I(names(b)), name_ours = I(our_name(names(b), levels_of, case$full_fixed, ren)), estimate = I(unname(b)),
      std_error = I(unname(sqrt(diag(V))))),
    vcov_lower = lower_triangle(unname(V)), components = components(fit, levels_of, full, ren),
    random = random_effects(fit, joint, levels_of, full, ren),
    fitted3 = unname(fitted(fit)[1:3]), residuals3 = unname(residuals(fit)[1:3]))
  dropped <- setdiff(colnames(model.matrix(delete.response(terms(fit, fixed.only = TRUE)), model.frame(fit))), names(b))
  out$fixed$dropped <- I(our_name(dropped, levels_of, case$full_fixed, ren))
  if (!is.null(devfun_again)) {
    lt <- lmerTest:::as_lmerModLT(fit, devfun_again)
    out$satterthwaite <- list(  # lmerTest's own formula at the tight optimum; numDeriv's derivatives
      df = I(unname(coef(summary(lt))[, "df"])))
  }
  out
}

# predict() at a few rows of the data: with and without the random effects, and for a level never seen (population value).
predictions <- function(fit, data, rows, group, joint) {
  new <- data[rows, , drop = FALSE]
  out <- list(rows = I(rows - 1L), random = unname(predict(fit, newdata = new)), fixed = unname(predict(fit, newdata = new, re.form = NA)))
  X <- getME(fit, "X")[rows, , drop = FALSE]
  out$se_fixed <- unname(sqrt(diag(X %*% as.matrix(vcov(fit)) %*% t(X))))
  if (!is.null(joint)) {
    A <- cbind(joint$Z, joint$X)[rows, , drop = FALSE]
    out$se_random <- unname(sqrt(rowSums((A %*% joint$V) * A)))
  }
  new[[group]] <- factor("a level never seen")
  out$unseen <- unname(predict(fit, newdata = new, allow.new.levels = TRUE))
  out$unseen_group <- group
  out
}
