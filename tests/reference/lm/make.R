# Writes the witnesses of tests/test_reference_lm.py: Rscript make.R, in this folder. R's own lm, predict, confint,
# influence functions and sandwich's vcovHC / vcovCL, on data sets that come with R (and made_empty_cells, typed here).
suppressPackageStartupMessages({library(sandwich); library(jsonlite); library(splines); library(MASS)})

column <- function(v) if (is.factor(v)) list(levels = I(levels(v)), values = I(as.character(v))) else I(as.numeric(v))

every_row <- function(v, missing) {
  if (is.null(missing)) return(unname(v))
  out <- rep(NA_real_, length(v) + length(missing)); out[-missing] <- v; out
}

# `less`: the fit of the response less the offset. summary.lm of R 4.2 counts the offset into the sum of squares of the
# model but not into a total, so that R-squared is not 1 - RSS / total there; that of `less` is.
witness <- function(name, call, ours, terms, data, fit, new, cluster = NULL, less = fit) {
  s <- summary(fit); l <- summary(less); kept <- !is.na(coef(fit)); co <- s$coefficients
  used <- intersect(names(data), c(all.vars(formula(fit)), ours$weights, cluster))
  out <- list(
    witness = sprintf("%s; stats %s, sandwich %s: %s", R.version.string, packageVersion("stats"), packageVersion("sandwich"), call),
    formula = ours$formula, weights = ours$weights, contrasts = ours$contrasts,
    data = lapply(data[used], column), terms = I(terms), dropped = I(if (is.null(ours$dropped)) character() else ours$dropped),
    coefficients = I(unname(coef(fit)[kept])), std_error = I(unname(co[, 2])), statistic = I(unname(co[, 3])),
    p_value = I(unname(co[, 4])), sigma = s$sigma, df_residual = fit$df.residual, r_squared = l$r.squared,
    adj_r_squared = l$adj.r.squared, f_statistic = I(unname(l$fstatistic)), rss = deviance(fit), nobs = nobs(fit),
    n_dropped = length(fit$na.action), loglik = as.numeric(logLik(fit)), npar = attr(logLik(fit), "df"),
    aic = AIC(fit), bic = BIC(fit), vcov = unname(vcov(fit, complete = FALSE)),
    fitted = I(every_row(fitted(fit), fit$na.action)), residuals = I(every_row(residuals(fit), fit$na.action)),
    confint95 = unname(confint(fit)[kept, , drop = FALSE]), confint80 = unname(confint(fit, level = 0.8)[kept, , drop = FALSE]),
    leverage = I(unname(hatvalues(fit))), standardized = I(unname(rstandard(fit))), studentized = I(unname(rstudent(fit))))
  p <- suppressWarnings(predict(fit, new, se.fit = TRUE))
  weight <- if (is.null(ours$weights)) 1 else new[[ours$weights]]          # of the new records
  interval <- function(kind, level) unname(suppressWarnings(predict(fit, new, interval = kind, level = level, weights = weight))[, -1, drop = FALSE])
  out$predict <- list(new = lapply(new, function(v) if (is.factor(v)) I(as.character(v)) else I(v)), fit = I(unname(p$fit)),
    se = I(unname(p$se.fit)), confidence95 = interval("confidence", 0.95), prediction95 = interval("prediction", 0.95),
    prediction80 = interval("prediction", 0.8))
  if (all(kept)) {
    out$robust <- lapply(setNames(nm = paste0("HC", 0:4)), function(k) unname(vcovHC(fit, type = k)))
    if (!is.null(cluster)) {
      by <- data[[cluster]]; if (!is.null(fit$na.action)) by <- by[-fit$na.action]
      out$cluster <- list(column = cluster,
        CR0 = unname(vcovCL(fit, cluster = by, type = "HC0", cadjust = FALSE)),   # the plain sandwich of cluster sums
        CR1 = unname(vcovCL(fit, cluster = by, type = "HC1", cadjust = TRUE)))    # times G/(G-1) (n-1)/(n-k)
    }
  }
  write(toJSON(out, auto_unbox = TRUE, digits = I(17), null = "null", na = "null", pretty = FALSE), paste0(name, ".json"))
}

tt <- function(...) c("(Intercept)", ...)
mt <- transform(mtcars, cyl = factor(cyl), am = factor(ifelse(am == 1, "manual", "auto")))
fc <- function(x, l) factor(x, levels = l)

new <- data.frame(speed = c(21, 4.5, 30))
witness("cars", "lm(dist ~ speed, cars)", list(formula = "dist ~ speed"), tt("speed"), cars, lm(dist ~ speed, cars), new)
witness("cars_noint", "lm(dist ~ 0 + speed, cars)", list(formula = "dist ~ 0 + speed"), "speed", cars, lm(dist ~ 0 + speed, cars), new)
inside <- data.frame(speed = c(21, 4.5, 12))
witness("cars_ns", "lm(dist ~ ns(speed, df = 4), cars), splines", list(formula = "dist ~ ns(speed, df=4)"),
  tt(sprintf("ns(speed, df=4)[%d]", 1:4)), cars, lm(dist ~ ns(speed, df = 4), cars), inside)
witness("cars_bs", "lm(dist ~ bs(speed, df = 5), cars), splines", list(formula = "dist ~ bs(speed, df=5)"),
  tt(sprintf("bs(speed, df=5)[%d]", 1:5)), cars, lm(dist ~ bs(speed, df = 5), cars), inside)
witness("cars_poly", "lm(dist ~ poly(speed, 3), cars)", list(formula = "dist ~ poly(speed, 3)"),
  tt(sprintf("poly(speed, 3)[%d]", 1:3)), cars, lm(dist ~ poly(speed, 3), cars), new)

witness("airquality", "lm(log(Ozone) ~ Solar.R + Wind + Temp, airquality)",
  list(formula = "log(Ozone) ~ Solar.R + Wind + Temp"), tt("Solar.R", "Wind", "Temp"), airquality,
  lm(log(Ozone) ~ Solar.R + Wind + Temp, airquality), data.frame(Solar.R = c(150, 300), Wind = c(10, 2.5), Temp = c(70, 95)),
  cluster = "Month")

cells <- data.frame(y = c(4.2, 5.1, 6.3, 5.8, 7.7, 6.9, 3.3, 4.8, 5.5, 6.1), A = factor(rep(c("a1", "a2", "a3"), c(3, 3, 4))),
  B = factor(c("b1", "b2", "b2", "b1", "b1", "b2", "b1", "b1", "b3", "b3")))
# only cells with rows are asked for: the others cannot be estimated
witness("empty_cells", "lm(y ~ A * B): A3:B2, A2:B3 and A1:B3 have no rows",
  list(formula = "y ~ A*B", dropped = c("A[T.a3]:B[T.b2]", "A[T.a2]:B[T.b3]", "A[T.a3]:B[T.b3]")),
  tt("A[T.a2]", "A[T.a3]", "B[T.b2]", "B[T.b3]", "A[T.a2]:B[T.b2]"), cells, lm(y ~ A * B, cells),
  data.frame(A = fc(c("a2", "a3"), levels(cells$A)), B = fc(c("b2", "b3"), levels(cells$B))))

both <- data.frame(cyl = fc(c("4", "8"), levels(mt$cyl)), am = fc(c("manual", "auto"), levels(mt$am)))
for (response in c("mpg", "disp")) {
  f <- as.formula(paste(response, "~ cyl + am"))
  witness(paste0("mtcars_", response), sprintf("lm(%s ~ cyl + am, mtcars), cyl and am factors", response),
    list(formula = paste(response, "~ cyl + am")), tt("cyl[T.6]", "cyl[T.8]", "am[T.manual]"), mt, lm(f, mt), both)
}
witness("mtcars_wls", "lm(mpg ~ wt + hp, mtcars, weights = qsec)", list(formula = "mpg ~ wt + hp", weights = "qsec"),
  tt("wt", "hp"), mt, lm(mpg ~ wt + hp, mt, weights = qsec), data.frame(wt = c(2.5, 5), hp = c(100, 250), qsec = c(20, 16)),
  cluster = "carb")
witness("mtcars_offset", "lm(mpg ~ wt + offset(hp / 10), mtcars); R-squared and F of lm(I(mpg - hp / 10) ~ wt)", list(formula = "mpg ~ wt + offset(hp/10)"),
  tt("wt"), mt, lm(mpg ~ wt + offset(hp / 10), mt), data.frame(wt = c(2.5, 5), hp = c(100, 250)),
  less = lm(I(mpg - hp / 10) ~ wt, mt))
# R codes the first factor of a model without intercept in full, so it makes am:I(wt^2) two columns and drops one
witness("mtcars_built", "lm(mpg ~ 0 + wt + I(wt^2) + I((am == 'manual') * wt^2), mtcars)", list(formula = "mpg ~ 0 + wt + I(wt**2) + am:I(wt**2)"),
  c("wt", "I(wt**2)", "am[T.manual]:I(wt**2)"), mt,
  lm(mpg ~ 0 + wt + I(wt^2) + I((am == 'manual') * wt^2), mt),
  data.frame(wt = c(2.5, 5), am = fc(c("manual", "auto"), levels(mt$am))))
witness("mtcars_cell_means", "lm(mpg ~ 0 + cyl:am, mtcars)", list(formula = "mpg ~ 0 + cyl:am"),
  sprintf("cyl[%s]:am[%s]", rep(c("4", "6", "8"), 2), rep(c("auto", "manual"), each = 3)), mt, lm(mpg ~ 0 + cyl:am, mt), both)
witness("npk_aliased", "lm(yield ~ block + N * P * K, npk): N:P:K is confounded with blocks",
  list(formula = "yield ~ block + N*P*K", dropped = "N[T.1]:P[T.1]:K[T.1]"),
  tt(sprintf("block[T.%d]", 2:6), "N[T.1]", "P[T.1]", "K[T.1]", "N[T.1]:P[T.1]", "N[T.1]:K[T.1]", "P[T.1]:K[T.1]"), npk,
  lm(yield ~ block + N * P * K, npk, contrasts = list(block = "contr.treatment", N = "contr.treatment", P = "contr.treatment", K = "contr.treatment")),
  npk[c(3, 20), c("block", "N", "P", "K")])
witness("stackloss", "lm(stack.loss ~ Air.Flow + Water.Temp + Acid.Conc., stackloss)",
  list(formula = "stack.loss ~ Air.Flow + Water.Temp + Acid.Conc."), tt("Air.Flow", "Water.Temp", "Acid.Conc."), stackloss,
  lm(stack.loss ~ Air.Flow + Water.Temp + Acid.Conc., stackloss), data.frame(Air.Flow = c(60, 80), Water.Temp = c(20, 27), Acid.Conc. = c(86, 90)))

wt <- data.frame(wool = fc(c("A", "B"), c("A", "B")), tension = fc(c("M", "H"), c("L", "M", "H")))
woolly <- function(name, codes, contrasts, terms)
  witness(name, sprintf("lm(breaks ~ wool * tension, warpbreaks), contrasts %s", paste(codes, collapse = ", ")),
    list(formula = "breaks ~ wool*tension", contrasts = contrasts), terms, warpbreaks,
    lm(breaks ~ wool * tension, warpbreaks, contrasts = setNames(as.list(codes), c("wool", "tension"))), wt)
cross <- function(w, t) tt(w, t, paste(w, t, sep = ":"))
woolly("warpbreaks", c("contr.treatment", "contr.treatment"), NULL, cross("wool[T.B]", c("tension[T.M]", "tension[T.H]")))
woolly("warpbreaks_sum_helmert", c("contr.sum", "contr.helmert"), list(wool = "sum", tension = "helmert"),
  cross("wool[S.A]", c("tension[H.M]", "tension[H.H]")))
woolly("warpbreaks_poly", c("contr.treatment", "contr.poly"), list(tension = "poly"), cross("wool[T.B]", c("tension[.L]", "tension[.Q]")))
