# Writes cases.json: the numbers R prints for the diagnostics of linear models, with the rows they were computed from.
# Rscript make.R > cases.json   (R 4.2.2, stats 4.2.2, car 3.1.1, lmtest 0.9.40, MASS 7.3.58.2)
suppressMessages({library(car); library(lmtest); library(MASS); library(jsonlite)})
data(cars); data(stackloss); data(longley); data(mtcars); data(warpbreaks); data(airquality); data(LifeCycleSavings)
lever <- data.frame(y = c(3.1, 4.2, 2.7, 5.9, 7.4, 6.3, 9.9, 8.8), x = c(1, 2, 3, 1, 2, 4, 6, 2),
                    g = factor(c("a", "a", "a", "b", "b", "b", "c", "b")))
numbers <- function(x) unname(as.vector(x))
case <- function(fit, data, formula, weights = NULL, durbin = TRUE, boxcox = FALSE, vif = FALSE, levene = FALSE) {
  m <- influence.measures(fit)
  k <- length(coef(fit))
  out <- list(formula = formula, weights = weights, data = as.list(data),
    levels = Filter(Negate(is.null), lapply(data, levels)),
    terms = names(coef(fit)), fitted = numbers(fitted(fit)), residual = numbers(residuals(fit)),
    standardized = numbers(rstandard(fit)), studentized = numbers(rstudent(fit)), leverage = numbers(hatvalues(fit)),
    cooks = numbers(cooks.distance(fit)), dffits = numbers(dffits(fit)), covratio = numbers(covratio(fit)),
    dfbetas = unname(as.matrix(dfbetas(fit))), influential = unname(m$is.inf),
    shapiro = with(shapiro.test(weighted.residuals(fit)), c(statistic, p.value)),
    ncv = with(ncvTest(fit), c(ChiSquare, Df, p)))
  if (is.null(weights)) {
    out$bp <- with(bptest(fit), c(statistic, parameter, p.value))
    out$bp_original <- with(bptest(fit, studentize = FALSE), c(statistic, parameter, p.value))
  }
  if (durbin) {
    one <- function(...) with(dwtest(fit, iterations = 500, ...), c(statistic, p.value))
    out$dw <- list(greater = one(exact = TRUE), less = one(exact = TRUE, alternative = "less"),
      two.sided = one(exact = TRUE, alternative = "two.sided"), normal = one(exact = FALSE))
  }
  o <- outlierTest(fit, cutoff = Inf, n.max = 3)
  out$outlier <- list(rstudent = numbers(o$rstudent), p = numbers(o$p), bonferroni = numbers(o$bonf.p),
    row = names(o$rstudent))
  if (boxcox) {
    at <- c(-2, -0.7, -0.25, 0, 0.3, 0.5, 1, 1.5)
    full <- lm(formula(fit), data = data, y = TRUE)
    profile <- function(l) MASS::boxcox(full, lambda = l, plotit = FALSE, interp = FALSE)$y
    best <- optimize(function(l) profile(l), c(-3, 3), maximum = TRUE, tol = 1e-11)
    cut <- function(l) profile(l) - best$objective + qchisq(0.95, 1) / 2
    out$boxcox <- list(at = at, profile = profile(at), lambda = best$maximum,
      conf = c(uniroot(cut, c(best$maximum - 5, best$maximum), tol = 1e-11)$root,
               uniroot(cut, c(best$maximum, best$maximum + 5), tol = 1e-11)$root))
  }
  if (vif) {
    v <- car::vif(fit)
    out$vif <- if (is.matrix(v)) unname(v) else cbind(unname(v), 1, sqrt(unname(v)))
    out$vif_terms <- if (is.matrix(v)) rownames(v) else names(v)
    X <- model.matrix(fit)
    if (!is.null(weights)) X <- X * sqrt(data[[weights]])
    S <- svd(sweep(X, 2, sqrt(colSums(X^2)), "/"))
    phi <- t(S$v^2) / S$d^2
    out$condition <- list(index = S$d[1] / S$d, proportions = unname(sweep(phi, 2, colSums(phi), "/")))
  }
  if (levene) {
    out$levene <- list(median = unlist(leveneTest(fit)[1, c(1, 2, 3)]), df2 = leveneTest(fit)[2, 1],
                       mean = unlist(leveneTest(fit, center = "mean")[1, c(1, 2, 3)]))
    frame <- model.frame(fit)
    out$bartlett <- with(bartlett.test(frame[[1]], interaction(frame[-1])), c(statistic, parameter, p.value))
  }
  out
}
mtcars2 <- mtcars[c("mpg", "wt", "hp", "qsec")]
air <- airquality[c("Ozone", "Solar.R", "Wind", "Temp")]
prestige <- carData::Prestige[c("prestige", "income", "education", "type")]
moore <- carData::Moore[c("conformity", "fcategory", "partner.status")]
moore$partner <- moore$partner.status; moore$partner.status <- NULL
rownames(prestige) <- NULL
cases <- list(
  cars = case(lm(dist ~ speed, cars), cars, "dist ~ speed", boxcox = TRUE),
  stackloss = case(lm(stack.loss ~ ., stackloss), stackloss, "stack.loss ~ Air.Flow + Water.Temp + Acid.Conc.",
                   boxcox = TRUE, vif = TRUE),
  longley = case(lm(Employed ~ ., longley), longley,
    "Employed ~ GNP.deflator + GNP + Unemployed + Armed.Forces + Population + Year", boxcox = TRUE, vif = TRUE),
  mtcars = case(lm(mpg ~ wt + hp, mtcars2, weights = qsec), mtcars2, "mpg ~ wt + hp", weights = "qsec",
                durbin = FALSE, vif = TRUE),
  savings = case(lm(sr ~ pop15 + pop75 + dpi + ddpi, LifeCycleSavings), LifeCycleSavings,
                 "sr ~ pop15 + pop75 + dpi + ddpi", boxcox = TRUE, vif = TRUE),
  warpbreaks = case(lm(breaks ~ wool * tension, warpbreaks), warpbreaks, "breaks ~ wool*tension", boxcox = TRUE,
                    levene = TRUE),
  moore = case(lm(conformity ~ fcategory * partner, moore), moore, "conformity ~ fcategory*partner", levene = TRUE),
  airquality = case(lm(log(Ozone) ~ Solar.R + Wind + Temp, air), air, "log(Ozone) ~ Solar.R + Wind + Temp", vif = TRUE),
  prestige = case(lm(prestige ~ income + education + type, prestige), prestige, "prestige ~ income + education + type",
                  vif = TRUE),
  quadratic = case(lm(dist ~ 0 + speed + I(speed^2), cars), cars, "dist ~ 0 + speed + I(speed**2)"),
  lever = case(lm(y ~ x + g, lever), lever, "y ~ x + g", vif = TRUE))
cat(toJSON(cases, digits = I(17), auto_unbox = TRUE, na = "null", matrix = "rowmajor"))
