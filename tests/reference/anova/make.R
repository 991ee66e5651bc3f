# Tests of terms, hypotheses and comparisons of models by R: Rscript make.R > anova.json
# R 4.2.2; car 3.1.1, lmerTest 3.1.3 (lme4 1.1.31), nlme 3.1.162, sandwich 3.0.2, multcomp 1.4.22.
suppressMessages({library(car); library(lmerTest); library(nlme); library(sandwich); library(multcomp); library(jsonlite)})
options(warn = 1)
table_of <- function(a, ...) {
  a <- as.data.frame(a)
  c(list(term = rownames(a)), as.list(setNames(a, c("Df" = "df", "Sum Sq" = "sum_sq", "Mean Sq" = "mean_sq", "F value" = "statistic",
    "F" = "statistic", "Pr(>F)" = "p_value", "NumDF" = "df", "DenDF" = "den_df", "numDF" = "df", "F-value" = "statistic",
    "p-value" = "p_value", "Res.Df" = "df_residual", "RSS" = "rss", "Sum of Sq" = "sum_sq", "npar" = "npar", "logLik" = "loglik",
    "AIC" = "aic", "BIC" = "bic", "deviance" = "deviance", "Chisq" = "statistic", "Pr(>Chisq)" = "p_value")[names(a)])))
}
plain <- function(d) lapply(d, function(x) if (is.factor(x)) list(values = as.character(x), levels = levels(x)) else x)
set.seed(11)
# -- data ---------------------------------------------------------------------------------------------------
three <- expand.grid(a = c("p", "q", "r"), b = c("u", "v"), c = c("k", "l", "m"))
three <- three[rep(1:18, c(2, 2, 3, 2, 2, 4, 2, 3, 2, 2, 2, 2, 5, 2, 2, 3, 2, 2)), ]
three$x <- round(rnorm(44), 3); three$w <- round(runif(44, 0.5, 2), 2)
three$y <- round(3 + as.numeric(three$a) * 0.4 - (three$b == "v") * three$x + rnorm(44), 3)
holes <- expand.grid(a = c("p", "q", "r"), b = c("u", "v", "w", "z"), c = c("k", "l"))
holes <- holes[rep(1:24, c(2, 1, 0, 2, 2, 1, 1, 3, 2, 0, 1, 2, 2, 2, 0, 3, 2, 2, 1, 2, 1, 0, 2, 3)), ]
holes$x <- round(rnorm(nrow(holes)), 3)
holes$y <- round(3 + as.numeric(holes$a) * 0.4 - (holes$b == "v") * holes$x + rnorm(nrow(holes)), 3)
moore <- carData::Moore
moore$fcategory <- factor(moore$fcategory, levels = c("low", "medium", "high"))
moore$partner.status <- relevel(moore$partner.status, ref = "low")
names(moore)[1] <- "status"
npk <- MASS::npk
empty <- data.frame(A = factor(c("a1", "a1", "a1", "a1", "a2", "a2", "a2", "a3", "a3", "a3")),
  B = factor(c("b1", "b2", "b2", "b3", "b1", "b2", "b2", "b1", "b3", "b3")), y = c(3, 4.4, 4.5, 5.2, 7, 6.8, 7.7, 3.6, 5, 6.2))
data <- list(three = three, holes = holes, moore = moore, npk = npk, empty = empty, warpbreaks = warpbreaks)
out <- list(data = lapply(data, plain), lm = list(), lmm = list(), gls = list())
# -- linear models ------------------------------------------------------------------------------------------
sums <- function(d) { for (n in names(d)) if (is.factor(d[[n]])) contrasts(d[[n]]) <- "contr.sum"; d }
add <- function(name, formula, type3 = TRUE, weights = NULL) {
  d <- data[[name]]; d$W <- if (is.null(weights)) rep(1, nrow(d)) else d[[weights]]
  f <- as.formula(formula); environment(f) <- environment()
  m <- lm(f, d, weights = W)
  case <- list(data = name, formula = formula, weights = weights, "1" = table_of(anova(m)), "2" = table_of(Anova(m, type = 2)))
  if (type3) {
    s <- lm(f, sums(d), weights = W)
    case[["3"]] <- table_of(Anova(s, type = 3))
    case[["HC3"]] <- list("2" = table_of(Anova(m, type = 2, white.adjust = "hc3")), "3" = table_of(Anova(s, type = 3, white.adjust = "hc3")))
  }
  out$lm[[length(out$lm) + 1]] <<- case
}
suppressMessages({
add("warpbreaks", "breaks ~ wool*tension")
add("moore", "conformity ~ status*fcategory")
add("moore", "conformity ~ status + fcategory")
add("moore", "conformity ~ fscore*status")
add("three", "y ~ a*b*c + x")
add("three", "y ~ a*b + b*x + c")
add("three", "y ~ poly(x, 2)*b + a")
add("three", "y ~ a*b + x", weights = "w")
add("npk", "yield ~ block + N*P*K", FALSE)
add("empty", "y ~ A*B", FALSE)
})
# -- type III with empty cells: lmerTest's hypotheses (SAS's), tested in the linear model --------------------
third <- function(d, formula) {
  # a grouping whose variance is nothing to the hypotheses: they depend on X alone
  d$g <- factor(rep(1:5, length.out = nrow(d)))
  mm <- suppressWarnings(suppressMessages(lmerTest::lmer(as.formula(paste(formula, "+ (1 | g)")), d)))
  L <- suppressMessages(lmerTest:::get_contrasts_type3(mm))
  m <- lm(as.formula(formula), d)
  b <- coef(m)[!is.na(coef(m))]
  stopifnot(identical(names(b), colnames(L[[1]])))
  rows <- lapply(L, function(l) {
    l <- l[rowSums(abs(l)) > 1e-9, , drop = FALSE]
    if (!nrow(l)) return(c(0, NA, NA, NA))
    k <- qr(t(l)); l <- l[k$pivot[seq_len(k$rank)], , drop = FALSE]
    h <- linearHypothesis(m, l, singular.ok = TRUE)
    c(h$Df[2], h[["Sum of Sq"]][2], h$F[2], h[["Pr(>F)"]][2])
  })
  r <- do.call(rbind, rows)
  list(term = names(L), df = r[, 1], sum_sq = r[, 2], statistic = r[, 3], p_value = r[, 4])
}
out$empty3 <- list(
  list(data = "empty", formula = "y ~ A*B", "3" = third(empty, "y ~ A*B")),
  list(data = "holes", formula = "y ~ a*b", "3" = third(holes, "y ~ a*b")),
  list(data = "holes", formula = "y ~ a*b*c", "3" = third(holes, "y ~ a*b*c")),
  list(data = "holes", formula = "y ~ a*b + x*b", "3" = third(holes, "y ~ a*b + x*b")),
  list(data = "holes", formula = "y ~ c + a:b", "3" = third(holes, "y ~ c + a:b")),
  list(data = "npk", formula = "yield ~ block + N*P*K", "3" = third(npk, "yield ~ block + N*P*K")))
# -- hypotheses ---------------------------------------------------------------------------------------------
m <- lm(conformity ~ status*fcategory, moore)
L <- rbind("high at medium" = c(0, 1, 0, 0, 1, 0), "half" = c(0, 0, 1, -0.5, 0, 0))
one <- function(h) list(df = h$Df[2], den_df = h$Res.Df[2], statistic = h$F[2], p_value = h[["Pr(>F)"]][2])
g <- glht(m, L, rhs = c(1, 0))
u <- summary(g, test = univariate())$test
out$hypotheses <- list(L = L, rhs = c(1, 0), joint = one(linearHypothesis(m, L, rhs = c(1, 0))),
  joint_hc3 = one(linearHypothesis(m, L, rhs = c(1, 0), vcov. = hccm(m, "hc3"))),
  estimate = u$coefficients, std_error = u$sigma, statistic = u$tstat, p_value = u$pvalues,
  bonferroni = summary(g, test = adjusted("bonferroni"))$test$pvalues, holm = summary(g, test = adjusted("holm"))$test$pvalues,
  confint = unclass(confint(g, calpha = univariate_calpha(), level = 0.9)$confint))
# -- mixed models -------------------------------------------------------------------------------------------
tight <- lmerControl(optCtrl = list(ftol_abs = 1e-14, xtol_abs = 1e-12, xtol_rel = 1e-12, ftol_rel = 1e-15, maxeval = 1e5), optimizer = "nloptwrap")
oats <- nlme::Oats; oats <- data.frame(Block = factor(as.character(oats$Block)), Variety = oats$Variety, nitro = oats$nitro, yield = oats$yield)
oats_some <- oats[-c(3, 4, 9, 17, 18, 30, 31, 32, 47, 55, 70), ]
machines <- nlme::Machines; machines <- data.frame(Worker = factor(as.character(machines$Worker)), Machine = machines$Machine, score = machines$score)
machines_some <- machines[-c(1, 2, 5, 20, 33, 34, 50), ]
mixed <- list(sleepstudy = lme4::sleepstudy, oats = oats, oats_some = oats_some, machines = machines, machines_some = machines_some, cake = lme4::cake)
out$dropped <- list(oats_some = c(3, 4, 9, 17, 18, 30, 31, 32, 47, 55, 70), machines_some = c(1, 2, 5, 20, 33, 34, 50))
mix <- function(name, formula, ours = formula) {
  mm <- lmerTest::lmer(as.formula(formula), mixed[[name]], control = tight)
  case <- list(data = name, formula = ours)
  for (t in 1:3) case[[as.character(t)]] <- table_of(anova(mm, type = t))
  out$lmm[[length(out$lmm) + 1]] <<- case
}
mix("sleepstudy", "Reaction ~ Days + (Days | Subject)")
mix("machines", "score ~ Machine + (1 | Worker/Machine)")
mix("machines_some", "score ~ Machine + (1 | Worker/Machine)")
mix("machines_some", "score ~ Machine + (Machine | Worker)")
mix("cake", "angle ~ recipe*temperature + (1 | recipe:replicate)")
mix("oats", "yield ~ Variety*factor(nitro) + (1 | Block/Variety)", "yield ~ Variety*C(nitro) + (1 | Block/Variety)")
mix("oats_some", "yield ~ Variety*factor(nitro) + (1 | Block/Variety)", "yield ~ Variety*C(nitro) + (1 | Block/Variety)")
mm <- lmerTest::lmer(yield ~ Variety + nitro + (1 | Block/Variety), oats_some, control = tight)
L2 <- rbind(c(0, 1, -1, 0), c(0, 0, 0, 1))
out$contest <- list(data = "oats_some", formula = "yield ~ Variety + nitro + (1 | Block/Variety)", L = L2,
  joint = as.list(setNames(contest(mm, L2)[1, c("NumDF", "DenDF", "F value", "Pr(>F)")], c("df", "den_df", "statistic", "p_value"))),
  each = as.list(setNames(contest(mm, L2, joint = FALSE)[, c("Estimate", "Std. Error", "df", "t value", "Pr(>|t|)", "lower", "upper")],
    c("estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high"))))
# -- generalised least squares ------------------------------------------------------------------------------
orthodont <- as.data.frame(nlme::Orthodont); contrasts(orthodont$Sex) <- "contr.sum"
k <- glsControl(tolerance = 1e-13, msTol = 1e-14, maxIter = 500, msMaxIter = 500)
gl <- function(ours, m) { s <- anova(m, type = "sequential"); g <- anova(m, type = "marginal")
  out$gls[[length(out$gls) + 1]] <<- c(ours, list("1" = table_of(s), "3" = table_of(g))) }
gl(list(formula = "distance ~ age*Sex", residual = "ar1(1 | Subject)"),
   gls(distance ~ age*Sex, orthodont, corAR1(form = ~1 | Subject), control = k))
gl(list(formula = "distance ~ age*Sex", residual = "cs(1 | Subject)", variance = "ident(Sex)"),
   gls(distance ~ age*Sex, orthodont, corCompSymm(form = ~1 | Subject), varIdent(form = ~1 | Sex), control = k))
# -- comparisons --------------------------------------------------------------------------------------------
ml <- function(f, d) lmerTest::lmer(as.formula(f), d, REML = FALSE, control = tight)
rl <- function(f, d) lmerTest::lmer(as.formula(f), d, REML = TRUE, control = tight)
sl <- lme4::sleepstudy
g0 <- gls(distance ~ age + Sex, orthodont, corAR1(form = ~1 | Subject), method = "ML", control = k)
g1 <- gls(distance ~ age*Sex, orthodont, corAR1(form = ~1 | Subject), method = "ML", control = k)
g2 <- gls(distance ~ age*Sex, orthodont, corAR1(form = ~1 | Subject), varIdent(form = ~1 | Sex), method = "ML", control = k)
ga <- as.data.frame(anova(g0, g1, g2))
out$compare <- list(
  lm = table_of(anova(lm(y ~ a, three), lm(y ~ a + b + x, three), lm(y ~ a*b*c + x, three))),
  lm_criteria = list(aic = sapply(list(lm(y ~ a, three), lm(y ~ a + b + x, three), lm(y ~ a*b*c + x, three)), AIC),
                     bic = sapply(list(lm(y ~ a, three), lm(y ~ a + b + x, three), lm(y ~ a*b*c + x, three)), BIC)),
  lmm_fixed = table_of(as.data.frame(anova(ml("Reaction ~ 1 + (Days | Subject)", sl), ml("Reaction ~ Days + (Days | Subject)", sl)))[, c("npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df", "Pr(>Chisq)")]),
  lmm_random = table_of(as.data.frame(anova(rl("Reaction ~ Days + (1 | Subject)", sl), rl("Reaction ~ Days + (Days || Subject)", sl), rl("Reaction ~ Days + (Days | Subject)", sl), refit = FALSE))[, c("npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df", "Pr(>Chisq)")]),
  gls = list(npar = ga$df, aic = ga$AIC, bic = ga$BIC, loglik = ga$logLik, statistic = ga$L.Ratio, p_value = ga[["p-value"]]))
cat(toJSON(out, digits = NA, dataframe = "columns", auto_unbox = TRUE, na = "null"))
